// Mixtral: Mistral's attention, and routed experts in every layer.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

const ConfigKeys kMixtralKeys = {{{"vocab_size", "int", 32000},
                                  {"hidden_size", "int", 4096},
                                  {"intermediate_size", "int", 14336},
                                  {"num_hidden_layers", "int", 32},
                                  {"num_attention_heads", "int", 32},
                                  {"num_key_value_heads", "int", 8},
                                  {"head_dim", "int|None", nullptr},
                                  {"hidden_act", "str", "silu"},
                                  {"max_position_embeddings", "int", 131072},
                                  {"initializer_range", "float", 0.02},
                                  {"rms_norm_eps", "float", 1e-05},
                                  {"use_cache", "bool", true},
                                  {"pad_token_id", "int|None", nullptr},
                                  {"bos_token_id", "int|None", 1},
                                  {"eos_token_id", "int|list[int]|None", 2},
                                  {"tie_word_embeddings", "bool", false},
                                  {"sliding_window", "int|None", nullptr},
                                  {"attention_dropout", "float|int", 0.0},
                                  {"num_experts_per_tok", "int", 2},
                                  {"num_local_experts", "int", 8},
                                  {"output_router_logits", "bool", false},
                                  {"router_aux_loss_coef", "float", 0.001},
                                  {"router_jitter_noise", "float", 0.0},
                                  {"rope_parameters", "dict|None", nullptr}},
                                 {{"num_experts", "num_local_experts"}}};

Architecture read_mixtral(const Config& config) {
  RopeKeys rope;
  rope.theta = 1e6;
  Architecture facts = read_llama_facts(config, rope);
  // transformers asks for the key here, though not for other scalings.
  const auto scaling = facts.ropes.front().scaling;
  const bool asks = scaling == RopeScaling::kDynamic || scaling == RopeScaling::kYarn ||
                    scaling == RopeScaling::kLongRope;
  if (asks && !config.has("head_dim")) config.positive("head_dim");
  read_window(config, facts);
  facts.experts = {config.positive("num_local_experts", kMostCount),
                   config.positive("num_experts_per_tok", kMostCount), facts.ffn_width};
  facts.experts.renormalises = true;
  facts.experts.layers.assign(facts.layers, true);
  facts.ffn_width = 0;
  check_experts(config, facts);
  return facts;
}

std::vector<TensorRow> mixtral_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.", moe = layer + "block_sparse_moe.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens").norm(layer + "input_layernorm", Weight::kAttentionNorm);
  add_llama_attention(a, rows);
  rows.norm(layer + "post_attention_layernorm", Weight::kMlpNorm)
      .router(moe + "gate", false)
      .experts(moe + "experts.{e}.", "w1", "w3", "w2")
      .norm("model.norm", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family mixtral_family() {
  return {"mixtral",
          read_mixtral,
          mixtral_rows,
          {},
          "model.",
          "Mistral's attention; routed experts in every layer, the chosen weights "
          "renormalised",
          kMixtralKeys};
}

}  // namespace actsweep
