#include "checkpoint/latent_facts.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/routed_experts.h"

namespace actsweep {
namespace {

/// The rotary parameters of a file, of either spelling.
Config rope_section(const Config& config) {
  const char* old = "rope_scaling";
  const bool is_old = config.contains(old) && !is_falsy(config.values().at(old));
  return config.section(is_old ? old : "rope_parameters");
}

/// 1 / sqrt(D), and for scaled positions the square of a magnitude (arXiv 2309.00071).
double read_score_scale(const Config& config, const Architecture& facts) {
  const double scale = 1 / std::sqrt(static_cast<double>(facts.head_width));
  const auto section = rope_section(config);
  const bool is_scaled = facts.ropes.front().scaling != RopeScaling::kNone;
  const double all = is_scaled ? section.number_or("mscale_all_dim", 0) : 0;
  if (all == 0) return scale;
  const double factor = section.above_zero("factor");
  const double magnitude = factor <= 1 ? 1 : 0.1 * all * std::log(factor) + 1;
  return scale * magnitude * magnitude;
}

void read_latents(const Config& config, Architecture& facts) {
  facts.latent.rotated = facts.head_width;
  facts.head_width += config.positive("qk_nope_head_dim");
  facts.value_width = config.positive("v_head_dim");
  facts.latent.key_value = config.positive("kv_lora_rank");
  if (config.has("q_lora_rank")) facts.latent.query = config.positive("q_lora_rank");
  const int64_t widest = std::max(facts.head_width, facts.value_width);
  require(widest <= kMostSize / facts.heads, ErrorKind::kModel,
          "{}: \"qk_nope_head_dim\", \"v_head_dim\": expected at most {} channels of all {} heads, "
          "found {} of each",
          config.path(), kMostSize, facts.heads, widest);
  require(facts.kv_heads == facts.heads, ErrorKind::kModel,
          "{}: \"num_key_value_heads\": expected as many as \"num_attention_heads\" ({}), found {}",
          config.path(), facts.heads, facts.kv_heads);
}

/// Where a family takes a part of the rotated channels, it is all of them.
void check_rotated_part(const Config& config, const Architecture& facts) {
  const char* key = "partial_rotary_factor";
  if (facts.ropes.front().width == facts.head_width) return;
  const auto section = rope_section(config);
  (section.contains(key) ? section : config).refuse(key, "1: all of \"qk_rope_head_dim\" channels");
}

}  // namespace

Architecture read_latent_facts(const Config& config, const RopeKeys& keys) {
  config.positive("qk_rope_head_dim");
  SizeKeys sizes;
  sizes.head_width = "qk_rope_head_dim";
  Architecture facts = read_sizes(config, sizes);
  facts.norm.epsilon = config.epsilon("rms_norm_eps");
  facts.activation = read_activation(config, "hidden_act");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  facts.latent.has_bias = facts.has_output_bias = config.flag("attention_bias");
  read_rope(config, facts, keys);
  check_rotated_part(config, facts);
  read_latents(config, facts);
  facts.attention_scale = read_score_scale(config, facts);
  return facts;
}

std::vector<TensorRow> latent_rows(const Architecture& a, bool has_correction) {
  const std::string layer = "model.layers.{}.", attention = layer + "self_attn.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens")
      .norm(layer + "input_layernorm", Weight::kAttentionNorm)
      .latent_query(attention)
      .latent_key_value(attention)
      .attention_output(attention + "o_proj")
      .norm(layer + "post_attention_layernorm", Weight::kMlpNorm);
  add_routed_mlp(layer + "mlp.", a, rows, has_correction);
  rows.norm("model.norm", Weight::kFinalNorm).head("lm_head");
  return rows.list();
}

}  // namespace actsweep
