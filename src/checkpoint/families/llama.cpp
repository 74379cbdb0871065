// Llama 2 and 3, and models published under its type (SmolLM2 among them): pre-norm RMSNorm, rotary
// positions, grouped query attention, gated SiLU. Biases where config.json says so.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

Architecture read_llama(const Config& config) {
  Architecture facts = read_llama_facts(config);
  check_channels_of_heads(config, facts);
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.has_mlp_bias = config.flag("mlp_bias");
  return facts;
}

}  // namespace

ConfigKeys llama_keys() {
  return {{{"vocab_size", "int", 32000},
           {"hidden_size", "int", 4096},
           {"intermediate_size", "int", 11008},
           {"num_hidden_layers", "int", 32},
           {"num_attention_heads", "int", 32},
           {"num_key_value_heads", "int|None", nullptr},
           {"hidden_act", "str", "silu"},
           {"max_position_embeddings", "int", 2048},
           {"initializer_range", "float", 0.02},
           {"rms_norm_eps", "float", 1e-06},
           {"use_cache", "bool", true},
           {"pad_token_id", "int|None", nullptr},
           {"bos_token_id", "int|None", 1},
           {"eos_token_id", "int|list[int]|None", 2},
           {"pretraining_tp", "int|None", 1},
           {"tie_word_embeddings", "bool", false},
           {"rope_parameters", "dict|None", nullptr},
           {"attention_bias", "bool", false},
           {"attention_dropout", "int|float|None", 0.0},
           {"mlp_bias", "bool", false},
           {"head_dim", "int|None", nullptr}}};
}

Architecture read_llama_shape(const Config& config) {
  Architecture facts = read_sizes(config);
  facts.norm.epsilon = config.epsilon("rms_norm_eps");
  facts.activation = read_activation(config, "hidden_act");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  return facts;
}

Architecture read_llama_facts(const Config& config, const RopeKeys& rope) {
  Architecture facts = read_llama_shape(config);
  read_rope(config, facts, rope);
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

std::vector<TensorRow> llama_rows_around(const Architecture& a, AddMlp add_mlp) {
  TensorRows rows(a);
  rows.embedding("model.embed_tokens")
      .norm("model.layers.{}.input_layernorm", Weight::kAttentionNorm);
  add_llama_attention(a, rows);
  rows.norm("model.layers.{}.post_attention_layernorm", Weight::kMlpNorm);
  add_mlp(a, rows);
  rows.norm("model.norm", Weight::kFinalNorm).head("lm_head");
  return rows.list();
}

std::vector<TensorRow> llama_rows(const Architecture& a) {
  return llama_rows_around(
      a, [](const Architecture&, TensorRows& rows) { rows.gate_up_down("model.layers.{}.mlp."); });
}

Family llama_family() {
  return {"llama",
          read_llama,
          llama_rows,
          {},
          "model.",
          "RMSNorm before each branch; rotary positions; grouped queries; gated SiLU; "
          "biases by `attention_bias` and `mlp_bias`",
          llama_keys()};
}

}  // namespace actsweep
