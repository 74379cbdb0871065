// Qwen2-MoE: Qwen2's attention; routed experts with a shared one beside them in some layers, a
// dense MLP in the others.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

/// Where windows are used and layers not listed, every other layer below max_window_layers has one.
void read_windows(const Config& config, Architecture& facts) {
  auto slides = read_sliding_layers(config, facts);
  if (!config.flag("use_sliding_window")) return check_unused_windows(config, slides);
  const auto& end = config.values().at("max_window_layers");
  for (int64_t layer = slides.size(); layer < facts.layers; ++layer) {
    slides.push_back(layer % 2 == 0 && layer < end);
  }
  use_sliding_window(config, facts, slides);
}

Architecture read_qwen2_moe(const Config& config) {
  config.positive("num_key_value_heads");  // transformers has no use for null here
  Architecture facts = read_llama_facts(config);
  facts.has_qkv_bias = config.flag("qkv_bias");
  read_windows(config, facts);
  read_qwen_experts(config, facts);
  facts.experts.shared_width = config.positive("shared_expert_intermediate_size");
  return facts;
}

}  // namespace

ConfigKeys qwen2_moe_keys() {
  return qwen2_keys().but({{"hidden_size", "int", 2048},
                           {"intermediate_size", "int", 5632},
                           {"num_hidden_layers", "int", 24},
                           {"num_attention_heads", "int", 16},
                           {"num_key_value_heads", "int|None", 16},
                           {"decoder_sparse_step", "int", 1},
                           {"moe_intermediate_size", "int", 1408},
                           {"shared_expert_intermediate_size", "int", 5632},
                           {"num_experts_per_tok", "int", 4},
                           {"num_experts", "int", 60},
                           {"norm_topk_prob", "bool", false},
                           {"output_router_logits", "bool", false},
                           {"router_aux_loss_coef", "float", 0.001},
                           {"mlp_only_layers", "list[int]|None", nullptr},
                           {"qkv_bias", "bool", true}});
}

void read_qwen_experts(const Config& config, Architecture& facts) {
  facts.experts = {config.positive("num_experts", kMostCount),
                   config.positive("num_experts_per_tok", kMostCount),
                   config.positive("moe_intermediate_size")};
  facts.experts.renormalises = config.flag("norm_topk_prob");
  const int64_t step = config.positive("decoder_sparse_step");
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    facts.experts.layers.push_back((layer + 1) % step == 0);
  }
  if (config.has("mlp_only_layers")) {
    for (const auto& layer : config.values().at("mlp_only_layers")) {
      if (layer >= 0 && layer < facts.layers) facts.experts.layers[layer.get<int64_t>()] = false;
    }
  }
  check_experts(config, facts);
}

void add_qwen_moe_rows(const Architecture& a, TensorRows& rows) {
  const std::string layer = "model.layers.{}.", mlp = layer + "mlp.";
  rows.norm(layer + "post_attention_layernorm", Weight::kMlpNorm)
      .gate_up_down(mlp)
      .router(mlp + "gate", false)
      .experts(mlp + "experts.{e}.", "gate_proj", "up_proj", "down_proj");
  if (a.experts.shared_width > 0) {
    rows.shared_expert(mlp + "shared_expert.", mlp + "shared_expert_gate");
  }
  rows.norm("model.norm", Weight::kFinalNorm).head("lm_head");
}

std::vector<TensorRow> qwen_moe_rows(const Architecture& a) {
  TensorRows rows(a);
  rows.embedding("model.embed_tokens")
      .norm("model.layers.{}.input_layernorm", Weight::kAttentionNorm);
  add_llama_attention(a, rows);
  add_qwen_moe_rows(a, rows);
  return rows.list();
}

Family qwen2_moe_family() {
  return {"qwen2_moe",
          read_qwen2_moe,
          qwen_moe_rows,
          {},
          "model.",
          "Qwen2's attention; routed experts and a gated shared expert in some layers, a "
          "dense MLP in the others; sliding windows where asked",
          qwen2_moe_keys()};
}

}  // namespace actsweep
