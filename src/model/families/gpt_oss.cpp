// gpt-oss: a learned sink per head, windows on every other layer, routed experts with biases and a
// clamped gate, their gates and ups alternating in one tensor.
#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

Architecture read_gpt_oss(const Config& config) {
  Architecture facts = read_sizes(config);
  facts.norm.epsilon = config.number_or("rms_norm_eps", 1e-5);
  facts.has_qkv_bias = facts.has_output_bias = config.flag_or("attention_bias", true);
  facts.ties_embeddings = config.flag_or("tie_word_embeddings", false);
  auto slides = read_sliding_layers(config, facts);
  for (int64_t layer = slides.size(); layer < facts.layers; ++layer) {
    slides.push_back(layer % 2 == 0);
  }
  use_window(facts, slides, config.positive("sliding_window"));
  RopeKeys rope;
  rope.theta = 150000;
  use_rope(facts, read_rope(config, facts, rope));
  facts.experts = {config.positive("num_local_experts"), config.positive("num_experts_per_tok"),
                   facts.ffn_width};
  facts.experts.renormalises = true;  // the softmax over the chosen logits
  facts.experts.clamp = config.number_or("swiglu_limit", 7.0);
  facts.experts.gate_alpha = config.number_or("swiglu_alpha", 1.702);
  facts.experts.layers.assign(facts.layers, true);
  facts.ffn_width = 0;
  check_experts(config, facts);
  return facts;
}

std::vector<TensorRow> gpt_oss_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.", mlp = layer + "mlp.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens").norm(layer + "input_layernorm", Weight::kAttentionNorm);
  add_llama_attention(a, rows);
  rows.sinks(layer + "self_attn.sinks")
      .norm(layer + "post_attention_layernorm", Weight::kMlpNorm)
      .router(mlp + "router", true)
      .alternating_experts(mlp + "experts.gate_up_proj", mlp + "experts.down_proj")
      .norm("model.norm", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family gpt_oss_family() {
  return {"gpt_oss",
          read_gpt_oss,
          gpt_oss_rows,
          {},
          "model.",
          "RMSNorm before each branch; rotary positions, yarn; a learned sink per head; "
          "sliding window on every other layer; routed experts with biases and a clamped "
          "gate, in stacked tensors"};
}

}  // namespace actsweep
