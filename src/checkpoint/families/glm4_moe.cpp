// GLM-4.5, 4.6 and 4.7, and the language model of GLM-4.5V: Llama's attention with rotary positions
// on a part of each head, and norms of query and key where asked; dense layers first, then routed
// experts beside a shared one.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"
#include "checkpoint/routed_experts.h"

namespace actsweep {
namespace {

ConfigKeys glm4_moe_keys() {
  auto keys = llama_keys().but({{"vocab_size", "int", 151552},
                                {"intermediate_size", "int", 10944},
                                {"num_hidden_layers", "int", 46},
                                {"num_attention_heads", "int", 96},
                                {"num_key_value_heads", "int", 8},
                                {"max_position_embeddings", "int", 131072},
                                {"rms_norm_eps", "float", 1e-5},
                                {"attention_dropout", "float|int", 0.0},
                                {"moe_intermediate_size", "int", 1408},
                                {"num_experts_per_tok", "int", 8},
                                {"output_router_logits", "bool", false},
                                {"n_shared_experts", "int", 1},
                                {"n_routed_experts", "int", 128},
                                {"routed_scaling_factor", "float", 1.0},
                                {"n_group", "int", 1},
                                {"topk_group", "int", 1},
                                {"first_k_dense_replace", "int", 1},
                                {"norm_topk_prob", "bool", true},
                                {"use_qk_norm", "bool", false},
                                {"bos_token_id", "int|None", nullptr},
                                {"eos_token_id", "int|list[int]|None", nullptr},
                                {"num_mtp_layers", "int", 1},
                                {"head_dim", "int"}},
                               {"pretraining_tp", "mlp_bias"});
  keys.aliases = {{"num_local_experts", "n_routed_experts"}};
  return keys;
}

ConfigKeys glm4v_moe_keys() {
  return glm4_moe_keys().but({{"vocab_size", "int", 151424},
                              {"max_position_embeddings", "int", 65536},
                              {"attention_bias", "bool", true},
                              {"router_aux_loss_coef", "float", 0.0001}},
                             {"use_qk_norm", "num_mtp_layers"});
}

Architecture read_with(const Config& config, RopeKeys rope) {
  rope.rotates_part = true;
  rope.fraction = 0.5;
  Architecture facts = read_llama_facts(config, rope);
  facts.has_qkv_bias = config.flag("attention_bias");
  read_routed_experts(config, facts);
  read_first_dense_layers(config, facts);
  read_sigmoid_router(config, facts);
  read_prediction_layers(config, facts);
  return facts;
}

Architecture read_glm4_moe(const Config& config) {
  Architecture facts = read_with(config, {});
  if (config.flag("use_qk_norm")) facts.query_key_norm = QueryKeyNorm::kEachHead;
  return facts;
}

/// Positions along three axes, which are one where there is only text.
Architecture read_glm4v_moe(const Config& config) {
  RopeKeys rope;
  rope.may_have_axes = true;
  return read_with(config, rope);
}

}  // namespace

Family glm4_moe_family() {
  return {"glm4_moe",
          read_glm4_moe,
          routed_llama_rows,
          {},
          "model.",
          "Llama with rotary positions on a part of each head; query/key norms by `use_qk_norm`; "
          "dense layers first, then experts routed by sigmoid scores with a selection bias, beside "
          "a shared one",
          glm4_moe_keys()};
}

Family glm4v_moe_text_family() {
  return {"glm4v_moe_text", read_glm4v_moe, routed_llama_rows, {}, "model.", "", glm4v_moe_keys()};
}

}  // namespace actsweep
