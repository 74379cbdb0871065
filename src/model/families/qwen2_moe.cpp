// Qwen2-MoE: Qwen2's attention; routed experts with a shared one beside them in some layers, a
// dense MLP in the others.
#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

/// Where windows are used and layers not listed, every other layer below max_window_layers has one.
void read_windows(const Config& config, Architecture& facts) {
  if (!config.flag_or("use_sliding_window", false)) return;
  auto slides = read_sliding_layers(config, facts);
  const int64_t end = slides.empty() ? config.positive("max_window_layers") : 0;
  for (int64_t layer = slides.size(); layer < facts.layers; ++layer) {
    slides.push_back(layer % 2 == 0 && layer < end);
  }
  use_window(facts, slides, config.positive("sliding_window"));
}

Architecture read_qwen2_moe(const Config& config) {
  config.positive("num_key_value_heads");  // transformers' default of 16 would be a guess here
  Architecture facts = read_llama_facts(config);
  facts.has_qkv_bias = config.flag_or("qkv_bias", true);
  facts.has_output_bias = false;
  read_windows(config, facts);
  read_qwen_experts(config, facts);
  facts.experts.shared_width = config.positive("shared_expert_intermediate_size");
  return facts;
}

}  // namespace

void read_qwen_experts(const Config& config, Architecture& facts) {
  const char* count = config.has("num_experts") ? "num_experts" : "num_local_experts";
  facts.experts = {config.positive(count), config.positive("num_experts_per_tok"),
                   config.positive("moe_intermediate_size")};
  facts.experts.renormalises = config.flag_or("norm_topk_prob", false);
  const int64_t step = config.positive_or("decoder_sparse_step", 1);
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    facts.experts.layers.push_back((layer + 1) % step == 0);
  }
  if (config.has("mlp_only_layers")) {
    for (const auto layer : config.indices("mlp_only_layers", facts.layers)) {
      facts.experts.layers[layer] = false;
    }
  }
  check_experts(config, facts);
}

std::vector<TensorRow> qwen_moe_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.", mlp = layer + "mlp.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens").norm(layer + "input_layernorm", Weight::kAttentionNorm);
  add_llama_attention(a, rows);
  rows.norm(layer + "post_attention_layernorm", Weight::kMlpNorm)
      .gate_up_down(mlp)
      .router(mlp + "gate", false)
      .experts(mlp + "experts.{e}.", "gate_proj", "up_proj", "down_proj");
  if (a.experts.shared_width > 0) {
    rows.shared_expert(mlp + "shared_expert.", mlp + "shared_expert_gate");
  }
  rows.norm("model.norm", Weight::kFinalNorm).head("lm_head");
  return rows.list();
}

Family qwen2_moe_family() {
  return {"qwen2_moe",
          read_qwen2_moe,
          qwen_moe_rows,
          {},
          "model.",
          "Qwen2's attention; routed experts and a gated shared expert in some layers, a "
          "dense MLP in the others; sliding windows where asked"};
}

}  // namespace actsweep
