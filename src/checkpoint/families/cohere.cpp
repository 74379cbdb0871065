// Cohere (Command R): LayerNorm without biases, attention and MLP side by side under one norm,
// rotary positions on neighbouring channels, scaled logits.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {

ConfigKeys cohere_keys() {
  return {{{"vocab_size", "int", 256000},
           {"hidden_size", "int", 8192},
           {"intermediate_size", "int", 22528},
           {"logit_scale", "float|None", 0.0625},
           {"num_hidden_layers", "int", 40},
           {"num_attention_heads", "int", 64},
           {"num_key_value_heads", "int|None", nullptr},
           {"hidden_act", "str", "silu"},
           {"max_position_embeddings", "int", 8192},
           {"initializer_range", "float", 0.02},
           {"layer_norm_eps", "float|None", 1e-05},
           {"use_cache", "bool", true},
           {"pad_token_id", "int|None", 0},
           {"bos_token_id", "int|None", 5},
           {"eos_token_id", "int|list[int]|None", 255001},
           {"tie_word_embeddings", "bool", true},
           {"rope_parameters", "dict|None", nullptr},
           {"attention_bias", "bool", false},
           {"attention_dropout", "float|int|None", 0.0},
           {"use_qk_norm", "bool|None", false},
           {"head_dim", "int"}}};
}

Architecture read_cohere_facts(const Config& config, double theta) {
  Architecture facts = read_sizes(config);
  facts.norm = {NormKind::kLayer, config.epsilon("layer_norm_eps")};
  facts.is_parallel = true;
  facts.has_mlp_norm = false;
  facts.activation = read_activation(config, "hidden_act");
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  facts.logit_scale = config.number("logit_scale");
  RopeKeys keys;
  keys.theta = theta;
  read_rope(config, facts, keys);
  facts.ropes.front().is_interleaved = true;
  return facts;
}

namespace {

Architecture read_cohere(const Config& config) {
  Architecture facts = read_cohere_facts(config, 500000);
  read_head_norms(config, facts, "use_qk_norm");
  return facts;
}

}  // namespace

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

Family cohere_family() {
  return {"cohere",
          read_cohere,
          cohere_rows,
          {},
          "model.",
          "LayerNorm without biases; parallel block under one norm; rotary positions on "
          "neighbouring channels; query/key norms by `use_qk_norm`; gated SiLU; scaled "
          "logits",
          cohere_keys()};
}

}  // namespace actsweep
