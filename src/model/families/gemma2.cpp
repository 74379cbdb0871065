// Gemma 2: Gemma with a norm before and after each branch, soft caps on scores and logits, and a
// sliding window on every other layer.
#include <cmath>

#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

Architecture read_gemma2(const Config& config) {
  Architecture facts = read_gemma2_facts(config);
  auto slides = read_sliding_layers(config, facts);
  for (int64_t layer = slides.size(); layer < facts.layers; ++layer) {
    slides.push_back(layer % 2 == 0);
  }
  use_window(facts, slides, config.positive("sliding_window"));
  use_rope(facts, read_rope(config, facts));
  return facts;
}

}  // namespace

Architecture read_gemma2_facts(const Config& config) {
  config.positive("head_dim");
  Architecture facts = read_sizes(config);
  use_gemma_facts(config, facts);
  facts.activation = read_activation(config, "hidden_activation", "gelu_pytorch_tanh");
  facts.attention_scale = 1 / std::sqrt(config.number("query_pre_attn_scalar"));
  facts.score_cap = config.number_or("attn_logit_softcapping", 0);
  facts.logit_cap = config.number_or("final_logit_softcapping", 0);
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
          "logits; score scale of its own; sliding window on every other layer"};
}

}  // namespace actsweep
