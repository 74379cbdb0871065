// Phi-1 and 2: LayerNorm and biases everywhere, rotary positions on a part of each head, attention
// and MLP side by side under one norm.
#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

Architecture read_phi(const Config& config) {
  Architecture facts = read_sizes(config);
  facts.norm = {NormKind::kLayer, config.number_or("layer_norm_eps", 1e-5)};
  facts.norm.has_bias = true;
  facts.is_parallel = true;
  facts.has_mlp_norm = false;
  facts.activation = read_activation(config, "hidden_act", "gelu_new");
  facts.is_gated = false;
  facts.has_qkv_bias = facts.has_output_bias = facts.has_mlp_bias = facts.has_head_bias = true;
  if (config.flag_or("qk_layernorm", false)) {
    facts.query_key_norm = QueryKeyNorm::kEachHead;
    facts.query_key_norm_kind = NormKind::kLayer;
  }
  facts.ties_embeddings = config.flag_or("tie_word_embeddings", false);
  RopeKeys rope;
  rope.fraction = 0.5;
  use_rope(facts, read_rope(config, facts, rope));
  return facts;
}

std::vector<TensorRow> phi_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.", attention = layer + "self_attn.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens")
      .norm(layer + "input_layernorm", Weight::kAttentionNorm)
      .query_key_value(attention, "q_proj", "k_proj", "v_proj");
  if (a.query_key_norm != QueryKeyNorm::kNone) {
    rows.query_key_norms(attention + "q_layernorm", attention + "k_layernorm", false, true);
  }
  rows.attention_output(attention + "dense")
      .up_down(layer + "mlp.fc1", layer + "mlp.fc2")
      .norm("model.final_layernorm", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family phi_family() {
  return {"phi",
          read_phi,
          phi_rows,
          {},
          "model.",
          "LayerNorm; parallel block under one norm; rotary positions on a part of each "
          "head; query/key norms by `qk_layernorm`; GELU (tanh) without a gate; biases "
          "everywhere, of the logits too"};
}

}  // namespace actsweep
