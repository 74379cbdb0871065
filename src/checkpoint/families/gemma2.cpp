// Gemma 2: Gemma with a norm before and after each branch, soft caps on scores and logits, and a
// sliding window on every other layer.
#include <cmath>

#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

Architecture read_gemma2(const Config& config) {
  Architecture facts = read_gemma2_facts(config);
  facts.score_cap = read_soft_cap(config, "attn_logit_softcapping");
  read_alternating_windows(config, facts);
  read_rope(config, facts);
  return facts;
}

}  // namespace

ConfigKeys gemma2_keys() {
  return gemma_keys().but({{"hidden_size", "int", 2304},
                           {"intermediate_size", "int", 9216},
                           {"num_hidden_layers", "int", 26},
                           {"num_attention_heads", "int", 8},
                           {"num_key_value_heads", "int", 4},
                           {"hidden_activation", "str", "gelu_pytorch_tanh"},
                           {"attention_dropout", "int|float|None", 0.0},
                           {"query_pre_attn_scalar", "int", 256},
                           {"sliding_window", "int|None", 4096},
                           {"layer_types", "list[str]|None", nullptr},
                           {"final_logit_softcapping", "float|None", 30.0},
                           {"attn_logit_softcapping", "float|None", 50.0}},
                          {"hidden_act"});
}

double read_soft_cap(const Config& config, const char* key) {
  constexpr double kMost = 1000;
  const double cap = config.above_zero_or(key, 0);
  if (cap > kMost) config.refuse(key, "at most 1000");
  return cap;
}

Architecture read_gemma2_facts(const Config& config) {
  Architecture facts = read_sizes(config);
  check_channels_of_heads(config, facts);
  use_gemma_facts(config, facts);
  facts.activation = read_activation(config, "hidden_activation");
  facts.attention_scale = 1 / std::sqrt(config.above_zero("query_pre_attn_scalar"));
  facts.logit_cap = read_soft_cap(config, "final_logit_softcapping");
  return facts;
}

std::vector<TensorRow> gemma2_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens").norm(layer + "input_layernorm", Weight::kAttentionNorm);
  add_llama_attention(a, rows);
  rows.norm(layer + "post_attention_layernorm", Weight::kAttentionPostNorm)
      .norm(layer + "pre_feedforward_layernorm", Weight::kMlpNorm)
      .gate_up_down(layer + "mlp.")
      .norm(layer + "post_feedforward_layernorm", Weight::kMlpPostNorm)
      .norm("model.norm", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

Family gemma2_family() {
  return {"gemma2",
          read_gemma2,
          gemma2_rows,
          {},
          "model.",
          "Gemma with a norm before and after each branch; soft caps on scores and "
          "logits; score scale of its own; sliding window on every other layer",
          gemma2_keys()};
}

}  // namespace actsweep
