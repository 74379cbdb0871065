// BLOOM: a norm of the embeddings, ALiBi, LayerNorm and biases everywhere, query, key and value in
// one tensor, GELU without a gate.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

const ConfigKeys kBloomKeys = {
    {{"vocab_size", "int", 250880},
     {"hidden_size", "int", 64},
     {"n_layer", "int", 2},
     {"n_head", "int", 8},
     {"layer_norm_epsilon", "float", 1e-05},
     {"initializer_range", "float", 0.02},
     {"use_cache", "bool", true},
     {"bos_token_id", "int|None", 1},
     {"eos_token_id", "int|list[int]|None", 2},
     {"pad_token_id", "int|None", nullptr},
     {"apply_residual_connection_post_layernorm", "bool", false},
     {"hidden_dropout", "float|int", 0.0},
     {"attention_dropout", "float|int", 0.0},
     {"pretraining_tp", "int", 1},
     {"slow_but_exact", "bool", false},
     {"tie_word_embeddings", "bool", true}},
    {{"num_hidden_layers", "n_layer"}, {"num_attention_heads", "n_head"}}};

/// What would make another model: transformers then leaves out the biases of products in slices.
void refuse_slices(const Config& config) {
  if (config.values().at("pretraining_tp") > 1) config.only("slow_but_exact", false);
}

Architecture read_bloom(const Config& given) {
  const auto config = with_old_channels(given);
  config.only("apply_residual_connection_post_layernorm", false);
  refuse_slices(config);
  SizeKeys keys = {"n_layer", "hidden_size", "n_head"};
  keys.kv_heads = keys.head_width = keys.ffn_width = keys.positions = "";
  Architecture facts = read_sizes(config, keys);
  facts.ffn_width = 4 * facts.channels;
  facts.norm = {NormKind::kLayer, config.epsilon("layer_norm_epsilon")};
  facts.norm.has_bias = true;
  facts.activation = Activation::kGeluTanh;
  facts.is_gated = false;
  facts.has_qkv_bias = facts.has_output_bias = facts.has_mlp_bias = true;
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  facts.alibi = Alibi::kPlain;
  return facts;
}

std::vector<TensorRow> bloom_rows(const Architecture& a) {
  const std::string model = "transformer.", layer = model + "h.{}.";
  TensorRows rows(a);
  rows.embedding(model + "word_embeddings")
      .norm(model + "word_embeddings_layernorm", Weight::kEmbeddingNorm)
      .norm(layer + "input_layernorm", Weight::kAttentionNorm)
      .fused_query_key_value(layer + "self_attention.query_key_value", FusedOrder::kKeyHeads)
      .attention_output(layer + "self_attention.dense")
      .norm(layer + "post_attention_layernorm", Weight::kMlpNorm)
      .up_down(layer + "mlp.dense_h_to_4h", layer + "mlp.dense_4h_to_h")
      .norm(model + "ln_f", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family bloom_family() {
  return {"bloom",
          read_bloom,
          bloom_rows,
          {},
          "transformer.",
          "LayerNorm of the embeddings and before each branch; ALiBi; query, key and value in one "
          "tensor; GELU (tanh) without a gate; biases everywhere",
          kBloomKeys};
}

}  // namespace actsweep
