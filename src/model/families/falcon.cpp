// Falcon: LayerNorm, GELU without a gate, attention and MLP side by side; rotary positions or
// ALiBi. The 7B layout has one key/value head, the 40B layout (`new_decoder_architecture`) groups,
// and one norm or two.
#include "base/error.h"
#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

/// Key/value heads and the shape of a block, by generation.
void read_generation(const Config& config, Architecture& facts) {
  const bool is_new = config.flag_or("new_decoder_architecture", false);
  if (is_new) {
    config.only("parallel_attn", true);
    facts.kv_heads = config.positive_or("num_kv_heads", facts.heads);
    facts.is_parallel = true;
    facts.has_mlp_norm = config.positive_or("num_ln_in_parallel_attn", 2) == 2;
  } else {
    if (config.has("num_ln_in_parallel_attn")) config.only("num_ln_in_parallel_attn", 1);
    facts.kv_heads = config.flag_or("multi_query", true) ? 1 : facts.heads;
    facts.is_parallel = config.flag_or("parallel_attn", true);
    facts.has_mlp_norm = !facts.is_parallel;
  }
  check_heads(config, facts);
}

Architecture read_falcon(const Config& config) {
  SizeKeys keys;
  keys.kv_heads = keys.head_width = keys.ffn_width = "";
  Architecture facts = read_sizes(config, keys);
  read_generation(config, facts);
  facts.ffn_width = config.positive_or("ffn_hidden_size", 4 * facts.channels);
  facts.norm = {NormKind::kLayer, config.number_or("layer_norm_epsilon", 1e-5)};
  facts.norm.has_bias = true;
  facts.activation = read_activation(config, "activation", "gelu");
  facts.is_gated = false;
  facts.has_qkv_bias = config.flag_or("bias", false);
  facts.has_output_bias = facts.has_mlp_bias = facts.has_qkv_bias;
  facts.ties_embeddings = config.flag_or("tie_word_embeddings", true);
  if (config.flag_or("alibi", false)) {
    facts.alibi = Alibi::kFalcon;
  } else {
    use_rope(facts, read_rope(config, facts));
  }
  return facts;
}

std::vector<TensorRow> falcon_rows(const Architecture& a) {
  const std::string layer = "transformer.h.{}.";
  const bool has_two = a.is_parallel && a.has_mlp_norm;
  TensorRows rows(a);
  rows.embedding("transformer.word_embeddings")
      .norm(layer + (has_two ? "ln_attn" : "input_layernorm"), Weight::kAttentionNorm)
      .fused_query_key_value(layer + "self_attention.query_key_value", FusedOrder::kKeyHeads)
      .attention_output(layer + "self_attention.dense");
  if (a.has_mlp_norm) {
    rows.norm(layer + (has_two ? "ln_mlp" : "post_attention_layernorm"), Weight::kMlpNorm);
  }
  rows.up_down(layer + "mlp.dense_h_to_4h", layer + "mlp.dense_4h_to_h")
      .norm("transformer.ln_f", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family falcon_family() {
  return {"falcon",
          read_falcon,
          falcon_rows,
          {},
          "transformer.",
          "LayerNorm; parallel block with one norm or two, or serial; rotary positions or"
          " ALiBi; one key/value head, groups of them or all, in one tensor; GELU without"
          " a gate; biases by `bias`"};
}

}  // namespace actsweep
