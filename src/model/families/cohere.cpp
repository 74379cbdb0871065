// Cohere (Command R): LayerNorm without biases, attention and MLP side by side under one norm,
// rotary positions on neighbouring channels, scaled logits.
#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

Architecture read_cohere(const Config& config) {
  Architecture facts = read_sizes(config);
  facts.norm = {NormKind::kLayer, config.number_or("layer_norm_eps", 1e-5)};
  facts.is_parallel = true;
  facts.has_mlp_norm = false;
  facts.activation = read_activation(config, "hidden_act", "silu");
  facts.has_qkv_bias = facts.has_output_bias = config.flag_or("attention_bias", false);
  facts.ties_embeddings = config.flag_or("tie_word_embeddings", true);
  facts.logit_scale = config.number_or("logit_scale", 0.0625);
  if (config.flag_or("use_qk_norm", false)) {
    facts.query_key_norm = QueryKeyNorm::kEachHead;
    facts.query_key_norm_kind = NormKind::kLayer;
  }
  RopeKeys keys;
  keys.theta = 500000;
  auto rope = read_rope(config, facts, keys);
  rope.is_interleaved = true;
  use_rope(facts, rope);
  return facts;
}

std::vector<TensorRow> cohere_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.", attention = layer + "self_attn.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens")
      .norm(layer + "input_layernorm", Weight::kAttentionNorm)
      .query_key_value(attention, "q_proj", "k_proj", "v_proj");
  if (a.query_key_norm != QueryKeyNorm::kNone) {
    rows.query_key_norms(attention + "q_norm", attention + "k_norm", true, false);
  }
  rows.attention_output(attention + "o_proj")
      .gate_up_down(layer + "mlp.")
      .norm("model.norm", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family cohere_family() {
  return {"cohere",
          read_cohere,
          cohere_rows,
          {},
          "model.",
          "LayerNorm without biases; parallel block under one norm; rotary positions on "
          "neighbouring channels; query/key norms by `use_qk_norm`; gated SiLU; scaled "
          "logits"};
}

}  // namespace actsweep
