// GPT-NeoX (Pythia): LayerNorm with biases, rotary positions on a part of each head, query, key and
// value fused head by head, attention and MLP side by side with a norm each.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

const ConfigKeys kGptNeoxKeys = {{{"vocab_size", "int", 50432},
                                  {"hidden_size", "int", 6144},
                                  {"num_hidden_layers", "int", 44},
                                  {"num_attention_heads", "int", 64},
                                  {"intermediate_size", "int", 24576},
                                  {"hidden_act", "str", "gelu"},
                                  {"attention_dropout", "float|int", 0.0},
                                  {"hidden_dropout", "float|int", 0.0},
                                  {"classifier_dropout", "float|int", 0.1},
                                  {"max_position_embeddings", "int", 2048},
                                  {"initializer_range", "float", 0.02},
                                  {"layer_norm_eps", "float", 1e-05},
                                  {"use_cache", "bool", true},
                                  {"bos_token_id", "int|None", 0},
                                  {"eos_token_id", "int|list[int]|None", 2},
                                  {"pad_token_id", "int|None", nullptr},
                                  {"tie_word_embeddings", "bool", false},
                                  {"use_parallel_residual", "bool", true},
                                  {"rope_parameters", "dict|None", nullptr},
                                  {"attention_bias", "bool", true},
                                  {"is_decoder", "bool", false}}};

Architecture read_gpt_neox(const Config& config) {
  SizeKeys keys;
  keys.kv_heads = keys.head_width = "";
  Architecture facts = read_sizes(config, keys);
  facts.norm = {NormKind::kLayer, config.epsilon("layer_norm_eps")};
  facts.norm.has_bias = true;
  facts.is_parallel = config.flag("use_parallel_residual");
  facts.activation = read_activation(config, "hidden_act");
  facts.is_gated = false;
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.has_mlp_bias = true;
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  RopeKeys rope;
  rope.fraction = 0.25;
  rope.rotates_part = true;
  rope.fraction_key = "rotary_pct";
  rope.theta_key = "rotary_emb_base";
  check_head_width(config, facts);
  read_rope(config, facts, rope);
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
          "without a gate; biases",
          kGptNeoxKeys};
}

}  // namespace actsweep
