// Qwen3-Next: the gated delta rule in most layers, Qwen3's attention with a gated output in the
// others; routed experts with a shared one in some layers, a dense MLP in the others.
#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

/// By `layer_types`; without them every `full_attention_interval`-th layer has attention.
void read_delta_layers(const Config& config, Architecture& facts) {
  const char* key = "layer_types";
  if (config.has(key)) {
    for (const auto& type : config.values().at(key)) {
      const bool is_attention = type == "full_attention";
      if (!is_attention && type != "linear_attention") {
        config.refuse(key, "\"full_attention\" or \"linear_attention\"");
      }
      facts.mixer_of_layer.push_back(is_attention ? MixerKind::kAttention : MixerKind::kDelta);
    }
    return;
  }
  const char* interval_key = "full_attention_interval";
  const int64_t interval = config.contains(interval_key) ? config.positive(interval_key) : 4;
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    const bool is_attention = (layer + 1) % interval == 0;
    facts.mixer_of_layer.push_back(is_attention ? MixerKind::kAttention : MixerKind::kDelta);
  }
}

void read_delta_rule(const Config& config, Architecture& facts) {
  auto& d = facts.delta;
  d.key_heads = config.positive("linear_num_key_heads", kMostCount);
  d.value_heads = config.positive("linear_num_value_heads", kMostCount);
  d.key_width = config.positive("linear_key_head_dim");
  d.value_width = config.positive("linear_value_head_dim");
  d.taps = config.positive("linear_conv_kernel_dim", kMostCount);
  if (d.value_heads % d.key_heads != 0) {
    config.refuse("linear_num_value_heads", "a multiple of \"linear_num_key_heads\"");
  }
  const auto at_most = fmt::format("at most {} channels of all heads", kMostSize);
  if (d.key_width > kMostSize / d.key_heads) config.refuse("linear_key_head_dim", at_most);
  if (d.value_width > kMostSize / d.value_heads) config.refuse("linear_value_head_dim", at_most);
}

Architecture read_qwen3_next(const Config& config) {
  Architecture facts = read_qwen3_next_facts(config, {}, {});
  read_qwen_experts(config, facts);
  facts.experts.shared_width = config.positive("shared_expert_intermediate_size");
  return facts;
}

std::vector<TensorRow> qwen3_next_rows(const Architecture& a) {
  TensorRows rows(a);
  add_qwen3_next_mixers(a, rows);
  rows.in_layers(TensorRow::Layers::kDelta)
      .fused_delta_projections("model.layers.{}.linear_attn.in_proj_qkvz",
                               "model.layers.{}.linear_attn.in_proj_ba")
      .in_layers(TensorRow::Layers::kAll);
  add_qwen_moe_rows(a, rows);
  return rows.list();
}

}  // namespace

ConfigKeys qwen3_next_keys() {
  return qwen2_keys().but({{"hidden_size", "int", 2048},
                           {"intermediate_size", "int", 5632},
                           {"num_hidden_layers", "int", 48},
                           {"num_attention_heads", "int", 16},
                           {"num_key_value_heads", "int", 2},
                           {"attention_bias", "bool", false},
                           {"head_dim", "int", 256},
                           {"linear_conv_kernel_dim", "int", 4},
                           {"linear_key_head_dim", "int", 128},
                           {"linear_value_head_dim", "int", 128},
                           {"linear_num_key_heads", "int", 16},
                           {"linear_num_value_heads", "int", 32},
                           {"decoder_sparse_step", "int", 1},
                           {"moe_intermediate_size", "int", 512},
                           {"shared_expert_intermediate_size", "int", 512},
                           {"num_experts_per_tok", "int", 10},
                           {"num_experts", "int", 512},
                           {"norm_topk_prob", "bool", true},
                           {"output_router_logits", "bool", false},
                           {"router_aux_loss_coef", "float", 0.001},
                           {"mlp_only_layers", "list[int]|None", nullptr}},
                          {"use_sliding_window", "sliding_window", "max_window_layers"});
}

Architecture read_qwen3_next_facts(const Config& config, const SizeKeys& sizes, RopeKeys rope) {
  Architecture facts = read_sizes(config, sizes);
  facts.norm.epsilon = config.epsilon("rms_norm_eps");
  facts.norm.weight_offset = 1;
  facts.activation = read_activation(config, "hidden_act");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  rope.rotates_part = true;
  rope.fraction = 0.25;
  read_rope(config, facts, rope);
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.query_key_norm = QueryKeyNorm::kEachHead;
  facts.has_output_gate = true;
  read_delta_layers(config, facts);
  read_delta_rule(config, facts);
  return facts;
}

void add_qwen3_next_mixers(const Architecture& a, TensorRows& rows) {
  rows.embedding("model.embed_tokens")
      .norm("model.layers.{}.input_layernorm", Weight::kAttentionNorm);
  rows.in_layers(TensorRow::Layers::kAttention);
  add_llama_attention(a, rows);
  rows.in_layers(TensorRow::Layers::kDelta)
      .delta_rule("model.layers.{}.linear_attn.")
      .in_layers(TensorRow::Layers::kAll);
}

Family qwen3_next_family() {
  return {
      "qwen3_next",
      read_qwen3_next,
      qwen3_next_rows,
      {"mtp.*"},
      "model.",
      "a gated delta rule behind a short convolution in three of four layers, Qwen3's attention "
      "with a gated output and a quarter rope in the others; RMSNorm weights less 1; routed "
      "experts and a gated shared expert, a dense MLP where asked",
      qwen3_next_keys()};
}

}  // namespace actsweep
