// StableLM: Llama's shape with LayerNorm, rotary positions on a part of each head, a norm for each
// head of query and key where config.json says so, and attention beside the MLP where it says so.
#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

Architecture read_stablelm(const Config& config) {
  Architecture facts = read_sizes(config);
  facts.norm = {NormKind::kLayer, config.number_or("layer_norm_eps", 1e-5)};
  facts.norm.has_bias = true;
  facts.is_parallel = config.flag_or("use_parallel_residual", false);
  facts.has_mlp_norm = !facts.is_parallel;
  facts.activation = read_activation(config, "hidden_act", "silu");
  facts.has_qkv_bias = config.flag_or("use_qkv_bias", false);
  if (config.flag_or("qk_layernorm", false)) {
    facts.query_key_norm = QueryKeyNorm::kEachHead;
    facts.query_key_norm_kind = NormKind::kLayer;
  }
  facts.ties_embeddings = config.flag_or("tie_word_embeddings", false);
  RopeKeys rope;
  rope.fraction = 0.25;
  use_rope(facts, read_rope(config, facts, rope));
  return facts;
}

std::vector<TensorRow> stablelm_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.", attention = layer + "self_attn.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens")
      .norm(layer + "input_layernorm", Weight::kAttentionNorm)
      .query_key_value(attention, "q_proj", "k_proj", "v_proj");
  if (a.query_key_norm != QueryKeyNorm::kNone) {
    rows.query_key_norms_by_head(attention + "q_layernorm.norms.{h}",
                                 attention + "k_layernorm.norms.{h}");
  }
  rows.attention_output(attention + "o_proj");
  if (a.has_mlp_norm) rows.norm(layer + "post_attention_layernorm", Weight::kMlpNorm);
  rows.gate_up_down(layer + "mlp.").norm("model.norm", Weight::kFinalNorm).head("lm_head");
  return rows.list();
}

}  // namespace

Family stablelm_family() {
  return {"stablelm",
          read_stablelm,
          stablelm_rows,
          {"model.layers.{}.self_attn.rotary_emb.inv_freq"},
          "model.",
          "LayerNorm; serial or parallel block; rotary positions on a part of each head; "
          "a norm for each head of query and key by `qk_layernorm`; gated SiLU"};
}

}  // namespace actsweep
