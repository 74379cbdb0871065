// Phi-3.5-MoE: Mixtral's shape with LayerNorm and biases, and the router of SparseMixer (arXiv
// 2409.12136).
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

ConfigKeys phimoe_keys() {
  auto keys = mistral_keys().but({{"vocab_size", "int", 32064},
                                  {"intermediate_size", "int", 6400},
                                  {"num_key_value_heads", "int", 8},
                                  {"rms_norm_eps", "float", 1e-05},
                                  {"sliding_window", "int|None", nullptr},
                                  {"attention_dropout", "float|int", 0.0},
                                  {"num_experts_per_tok", "int", 2},
                                  {"num_local_experts", "int", 16},
                                  {"output_router_logits", "bool", false},
                                  {"router_aux_loss_coef", "float", 0.001},
                                  {"router_jitter_noise", "float", 0.01},
                                  {"input_jitter_noise", "float", 0.0},
                                  {"attention_bias", "bool", false},
                                  {"lm_head_bias", "bool", false},
                                  {"head_dim", "int"}});
  return keys;
}

Architecture read_phimoe(const Config& config) {
  config.only("num_experts_per_tok", 2);  // the router chooses two whatever it says
  Architecture facts = read_sizes(config);
  facts.norm = {NormKind::kLayer, config.epsilon("rms_norm_eps")};
  facts.norm.has_bias = true;
  facts.activation = read_activation(config, "hidden_act");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.has_head_bias = config.flag("lm_head_bias");
  RopeKeys rope;
  rope.theta = 1e6;
  rope.has_magnitudes = true;
  read_rope(config, facts, rope);
  read_window(config, facts);
  read_experts_of_all_layers(config, facts);
  facts.experts.router.score = RouterScore::kSparseMixer;
  facts.experts.router.band = 2 * config.epsilon("router_jitter_noise");
  facts.experts.renormalises = false;
  return facts;
}

std::vector<TensorRow> phimoe_rows(const Architecture& a) {
  return llama_rows_around(a, [](const Architecture&, TensorRows& rows) {
    const std::string moe = "model.layers.{}.block_sparse_moe.";
    rows.router(moe + "gate", false)
        .experts(moe + "experts.{e}.", "w1", "w3", "w2")
        .stacked_under("block_sparse_moe.gate", "mlp.router")
        .stacked_under("block_sparse_moe", "mlp");
  });
}

}  // namespace

Family phimoe_family() {
  return {"phimoe",
          read_phimoe,
          phimoe_rows,
          {},
          "model.",
          "Mixtral's shape with LayerNorm and biases; two experts, each weighed by a softmax over "
          "those whose scores are close to its own; longrope with magnitudes of its own",
          phimoe_keys()};
}

}  // namespace actsweep
