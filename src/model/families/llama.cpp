// Llama 2 and 3, and models published under its type (SmolLM2 among them): pre-norm RMSNorm, rotary
// positions, grouped query attention, gated SiLU. Biases where config.json says so.
#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

Architecture read_llama(const Config& config) {
  config.only("pretraining_tp", 1);
  return read_llama_facts(config);
}

}  // namespace

Architecture read_llama_facts(const Config& config) {
  Architecture facts = read_sizes(config);
  facts.norm.epsilon = config.number("rms_norm_eps");
  facts.activation = read_activation(config, "hidden_act");
  facts.ties_embeddings = config.flag_or("tie_word_embeddings", false);
  facts.has_qkv_bias = config.flag_or("attention_bias", false);
  facts.has_output_bias = facts.has_qkv_bias;
  facts.has_mlp_bias = config.flag_or("mlp_bias", false);
  use_rope(facts, read_rope(config, facts));
  return facts;
}

void add_llama_attention(const Architecture& a, TensorRows& rows) {
  const std::string attention = "model.layers.{}.self_attn.";
  rows.query_key_value(attention, "q_proj", "k_proj", "v_proj");
  if (a.query_key_norm != QueryKeyNorm::kNone) {
    const bool per_head = a.query_key_norm == QueryKeyNorm::kAllHeads;
    rows.query_key_norms(attention + "q_norm", attention + "k_norm", per_head, false);
  }
  rows.attention_output(attention + "o_proj");
}

std::vector<TensorRow> llama_rows(const Architecture& a) {
  TensorRows rows(a);
  rows.embedding("model.embed_tokens")
      .norm("model.layers.{}.input_layernorm", Weight::kAttentionNorm);
  add_llama_attention(a, rows);
  rows.norm("model.layers.{}.post_attention_layernorm", Weight::kMlpNorm)
      .gate_up_down("model.layers.{}.mlp.")
      .norm("model.norm", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

Family llama_family() {
  return {"llama",
          read_llama,
          llama_rows,
          {"model.layers.{}.self_attn.rotary_emb.inv_freq"},
          "model.",
          "RMSNorm before each branch; rotary positions; grouped queries; gated SiLU; "
          "biases by `attention_bias` and `mlp_bias`"};
}

}  // namespace actsweep
