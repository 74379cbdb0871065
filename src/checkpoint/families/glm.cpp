// GLM-4 9B of 2024 (`glm`) and 0414 (`glm4`), and the language model of GLM-4.1V: rotary positions
// on neighbouring channels of half a head, gate and up in one tensor; the latter two have a norm
// before and after each branch.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

ConfigKeys glm4_keys() {
  return llama_keys().but({{"vocab_size", "int", 151552},
                           {"intermediate_size", "int", 13696},
                           {"num_hidden_layers", "int", 40},
                           {"num_key_value_heads", "int", 2},
                           {"head_dim", "int", 128},
                           {"attention_dropout", "float|int", 0.0},
                           {"max_position_embeddings", "int", 131072},
                           {"rms_norm_eps", "float", 1.5625e-07},
                           {"pad_token_id", "int|None", 151329},
                           {"eos_token_id", "int|list[int]|None", nullptr},
                           {"bos_token_id", "int|None", nullptr},
                           {"attention_bias", "bool", true}},
                          {"pretraining_tp", "mlp_bias"});
}

ConfigKeys glm_keys() {
  return glm4_keys().but({{"num_key_value_heads", "int|None", 2},
                          {"head_dim", "int|None", 128},
                          {"attention_dropout", "float|int|None", 0.0}});
}

ConfigKeys glm4v_keys() {
  return glm4_keys().but(
      {{"num_key_value_heads", "int|None", 2},
       {"max_position_embeddings", "int", 32768},
       {"rms_norm_eps", "float", 1e-5},
       {"pad_token_id", "int|None", nullptr}},
      {"head_dim", "bos_token_id", "eos_token_id", "attention_bias", "tie_word_embeddings"});
}

/// Positions along three axes, which are one where there is only text.
Architecture read_glm4v(const Config& config) {
  RopeKeys keys;
  keys.rotates_part = true;
  keys.may_have_axes = true;
  Architecture facts = read_llama_facts(config, keys);
  check_head_width(config, facts);
  facts.ropes.front().is_interleaved = true;
  facts.has_qkv_bias = true;
  return facts;
}

Architecture read_glm(const Config& config) {
  for (const char* key : {"num_key_value_heads", "head_dim"}) config.positive(key);  // not null
  RopeKeys keys;
  keys.rotates_part = true;
  keys.fraction = 0.5;
  Architecture facts = read_llama_facts(config, keys);
  facts.ropes.front().is_interleaved = true;
  facts.has_qkv_bias = config.flag("attention_bias");
  return facts;
}

/// Attention, and the norms around the branches under the names that they have.
std::vector<TensorRow> rows_of(const Architecture& a, const std::string& attention_post_norm,
                               const std::string& mlp_post_norm) {
  const std::string layer = "model.layers.{}.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens").norm(layer + "input_layernorm", Weight::kAttentionNorm);
  add_llama_attention(a, rows);
  if (!attention_post_norm.empty()) {
    rows.norm(layer + attention_post_norm, Weight::kAttentionPostNorm);
  }
  rows.norm(layer + "post_attention_layernorm", Weight::kMlpNorm)
      .fused_gate_up_down(layer + "mlp.gate_up_proj", layer + "mlp.down_proj");
  if (!mlp_post_norm.empty()) rows.norm(layer + mlp_post_norm, Weight::kMlpPostNorm);
  rows.norm("model.norm", Weight::kFinalNorm).head("lm_head");
  return rows.list();
}

std::vector<TensorRow> glm_rows(const Architecture& a) { return rows_of(a, "", ""); }

std::vector<TensorRow> glm4_rows(const Architecture& a) {
  return rows_of(a, "post_self_attn_layernorm", "post_mlp_layernorm");
}

}  // namespace

Family glm_family() {
  return {"glm",
          read_glm,
          glm_rows,
          {},
          "model.",
          "Llama with rotary positions on neighbouring channels of half a head; gate and up in one "
          "tensor; biases on query, key and value by `attention_bias`",
          glm_keys()};
}

Family glm4_family() {
  return {"glm4",     read_glm, glm4_rows,
          {},         "model.", "GLM with a norm before and after each branch",
          glm4_keys()};
}

Family glm4v_text_family() {
  return {"glm4v_text", read_glm4v, glm4_rows, {}, "model.", "", glm4v_keys()};
}

}  // namespace actsweep
