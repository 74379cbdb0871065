// GPT-NeoX (Pythia): LayerNorm with biases, rotary positions on a part of each head, query, key and
// value fused head by head, attention and MLP side by side with a norm each.
#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

Architecture read_gpt_neox(const Config& config) {
  SizeKeys keys;
  keys.kv_heads = keys.head_width = "";
  Architecture facts = read_sizes(config, keys);
  facts.norm = {NormKind::kLayer, config.number_or("layer_norm_eps", 1e-5)};
  facts.norm.has_bias = true;
  facts.is_parallel = config.flag_or("use_parallel_residual", true);
  facts.activation = read_activation(config, "hidden_act", "gelu");
  facts.is_gated = false;
  facts.has_qkv_bias = facts.has_output_bias = config.flag_or("attention_bias", true);
  facts.has_mlp_bias = true;
  facts.ties_embeddings = config.flag_or("tie_word_embeddings", false);
  RopeKeys rope;
  rope.fraction = 0.25;
  rope.fraction_key = config.has("rotary_pct") ? "rotary_pct" : "partial_rotary_factor";
  rope.theta_key = config.has("rotary_emb_base") ? "rotary_emb_base" : "rope_theta";
  use_rope(facts, read_rope(config, facts, rope));
  return facts;
}

std::vector<TensorRow> gpt_neox_rows(const Architecture& a) {
  const std::string layer = "gpt_neox.layers.{}.";
  TensorRows rows(a);
  rows.embedding("gpt_neox.embed_in")
      .norm(layer + "input_layernorm", Weight::kAttentionNorm)
      .fused_query_key_value(layer + "attention.query_key_value", FusedOrder::kKeyHeads)
      .attention_output(layer + "attention.dense")
      .norm(layer + "post_attention_layernorm", Weight::kMlpNorm)
      .up_down(layer + "mlp.dense_h_to_4h", layer + "mlp.dense_4h_to_h")
      .norm("gpt_neox.final_layer_norm", Weight::kFinalNorm)
      .head("embed_out");
  return rows.list();
}

}  // namespace

Family gpt_neox_family() {
  const std::string attention = "gpt_neox.layers.{}.attention.";
  return {"gpt_neox",
          read_gpt_neox,
          gpt_neox_rows,
          {attention + "bias", attention + "masked_bias", attention + "rotary_emb.inv_freq"},
          "gpt_neox.",
          "LayerNorm; parallel block with a norm each, or serial; rotary positions on a "
          "part of each head; query, key and value in one tensor, head by head; GELU "
          "without a gate; biases"};
}

}  // namespace actsweep
