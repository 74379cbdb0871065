// Falcon: LayerNorm, GELU without a gate, attention and MLP side by side; rotary positions or
// ALiBi. The 7B layout has one key/value head, the 40B layout (`new_decoder_architecture`) groups,
// and one norm or two.
#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

const ConfigKeys kFalconKeys = {{{"vocab_size", "int", 65024},
                                 {"hidden_size", "int", 4544},
                                 {"num_hidden_layers", "int", 32},
                                 {"num_attention_heads", "int", 71},
                                 {"num_ln_in_parallel_attn", "int|None", nullptr},
                                 {"layer_norm_epsilon", "float|None", 1e-05},
                                 {"initializer_range", "float", 0.02},
                                 {"use_cache", "bool", true},
                                 {"hidden_dropout", "float|int|None", 0.0},
                                 {"attention_dropout", "float|int|None", 0.0},
                                 {"num_kv_heads", "int|None", nullptr},
                                 {"alibi", "bool|None", false},
                                 {"new_decoder_architecture", "bool|None", false},
                                 {"multi_query", "bool|None", true},
                                 {"parallel_attn", "bool|None", true},
                                 {"bias", "bool|None", false},
                                 {"max_position_embeddings", "int", 2048},
                                 {"rope_parameters", "dict|None", nullptr},
                                 {"bos_token_id", "int|None", 11},
                                 {"eos_token_id", "int|list[int]|None", 11},
                                 {"pad_token_id", "int|None", nullptr},
                                 {"ffn_hidden_size", "int|None", nullptr},
                                 {"activation", "str|None", "gelu"},
                                 {"tie_word_embeddings", "bool", true}}};

/// Key/value heads and the shape of a block, by generation.
void read_generation(const Config& config, Architecture& facts) {
  const bool is_new = config.flag("new_decoder_architecture");
  if (is_new) {
    config.only("parallel_attn", true);
    facts.kv_heads = config.positive_or("num_kv_heads", facts.heads, kMostCount);
    facts.is_parallel = true;
    facts.has_mlp_norm = config.positive_or("num_ln_in_parallel_attn", 2) == 2;
    if (!facts.has_mlp_norm) config.only("num_ln_in_parallel_attn", 1);
  } else {
    if (config.has("num_ln_in_parallel_attn")) config.only("num_ln_in_parallel_attn", 1);
    facts.kv_heads = config.flag("multi_query") ? 1 : facts.heads;
    facts.is_parallel = config.flag("parallel_attn");
    facts.has_mlp_norm = !facts.is_parallel;
  }
  check_heads(config, facts, "num_kv_heads");
}

Architecture read_falcon(const Config& given) {
  const auto config = with_old_channels(given);
  SizeKeys keys;
  keys.kv_heads = keys.head_width = keys.ffn_width = "";
  Architecture facts = read_sizes(config, keys);
  read_generation(config, facts);
  facts.ffn_width = config.positive_or("ffn_hidden_size", 4 * facts.channels);
  facts.norm = {NormKind::kLayer, config.epsilon("layer_norm_epsilon")};
  facts.norm.has_bias = true;
  facts.activation = read_activation(config, "activation");
  facts.is_gated = false;
  facts.has_qkv_bias = config.flag("bias");
  facts.has_output_bias = facts.has_mlp_bias = facts.has_qkv_bias;
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  if (config.contains("head_dim")) config.refuse("head_dim", "no such key in a \"falcon\"");
  if (config.flag("alibi")) {
    facts.alibi = Alibi::kFalcon;
  } else {
    read_rope(config, facts);
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
          " a gate; biases by `bias`",
          kFalconKeys};
}

}  // namespace actsweep
