// MiniMax-M2: Mixtral's shape with sigmoid scores and a selection bias, norms of query and key over
// all heads, rotary positions on a part of each head.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

ConfigKeys minimax_m2_keys() {
  auto keys = llama_keys().but({{"vocab_size", "int", 200064},
                                {"hidden_size", "int", 3072},
                                {"intermediate_size", "int", 1536},
                                {"num_hidden_layers", "int", 62},
                                {"num_attention_heads", "int", 48},
                                {"num_key_value_heads", "int", 8},
                                {"head_dim", "int", 128},
                                {"max_position_embeddings", "int", 196608},
                                {"bos_token_id", "int|None", 200034},
                                {"eos_token_id", "int|list[int]|None", 200020},
                                {"attention_dropout", "float|int", 0.0},
                                {"num_experts_per_tok", "int", 8},
                                {"num_local_experts", "int", 256},
                                {"output_router_logits", "bool", false},
                                {"router_aux_loss_coef", "float", 0.001},
                                {"router_jitter_noise", "float", 0.0}},
                               {"pretraining_tp", "attention_bias", "mlp_bias"});
  keys.aliases = {{"num_experts", "num_local_experts"}};
  return keys;
}

/// Published switches that transformers does not read.
void check_switches(const Config& config) {
  config.only("scoring_func", "sigmoid");
  config.only("use_routing_bias", true);
  config.only("shared_intermediate_size", 0);
  config.only("use_qk_norm", true);
  config.only("qk_norm_type", "per_layer");
  const char* key = "attn_type_list";
  if (!config.has(key)) return;
  for (const auto& type : config.values().at(key)) {
    if (type != 1) config.refuse(key, "1 for every layer: softmax attention");
  }
}

/// Published files say how many channels of a head are rotated.
RopeKeys rope_keys(const Config& config) {
  RopeKeys rope;
  rope.theta = 5e6;
  rope.rotates_part = true;
  if (config.has("rotary_dim")) {
    rope.fraction = static_cast<double>(config.positive("rotary_dim")) /
                    static_cast<double>(config.positive("head_dim"));
  }
  return rope;
}

Architecture read_minimax_m2(const Config& config) {
  Architecture facts = read_llama_facts(config, rope_keys(config));
  facts.query_key_norm = QueryKeyNorm::kAllHeads;
  read_experts_of_all_layers(config, facts);
  facts.experts.router.score = RouterScore::kSigmoid;
  check_switches(config);
  return facts;
}

void add_minimax_experts(const Architecture& a, TensorRows& rows) {
  const std::string moe = "model.layers.{}.block_sparse_moe.";
  rows.router(moe + "gate", false)
      .router_correction(moe + "e_score_correction_bias", {a.experts.count})
      .experts(moe + "experts.{e}.", "w1", "w3", "w2")
      .stacked_under("block_sparse_moe", "mlp");
}

std::vector<TensorRow> minimax_m2_rows(const Architecture& a) {
  return llama_rows_around(a, add_minimax_experts);
}

}  // namespace

Family minimax_m2_family() {
  return {"minimax_m2",
          read_minimax_m2,
          minimax_m2_rows,
          {},
          "model.",
          "Llama with query/key norms over all heads and rotary positions on a part of each head; "
          "experts in every layer, routed by sigmoid scores with a selection bias",
          minimax_m2_keys()};
}

}  // namespace actsweep
