// BERT: an encoder of text. Attention without a mask, LayerNorm after each addition and on the
// embeddings, learned positions, GELU without a gate. Its head predicts masked tokens.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

Architecture read_bert(const Config& config) { return read_bert_facts(config); }

std::vector<TensorRow> own_rows(const Architecture& a) { return bert_rows(a, "bert."); }

}  // namespace

ConfigKeys bert_keys() {
  return {{{"vocab_size", "int", 30522},
           {"hidden_size", "int", 768},
           {"num_hidden_layers", "int", 12},
           {"num_attention_heads", "int", 12},
           {"intermediate_size", "int", 3072},
           {"hidden_act", "str", "gelu"},
           {"hidden_dropout_prob", "float|int", 0.1},
           {"attention_probs_dropout_prob", "float|int", 0.1},
           {"max_position_embeddings", "int", 512},
           {"type_vocab_size", "int", 2},
           {"initializer_range", "float", 0.02},
           {"layer_norm_eps", "float", 1e-12},
           {"pad_token_id", "int|None", 0},
           {"use_cache", "bool", true},
           {"classifier_dropout", "float|int|None", nullptr},
           {"is_decoder", "bool", false},
           {"add_cross_attention", "bool", false},
           {"bos_token_id", "int|None", nullptr},
           {"eos_token_id", "int|list[int]|None", nullptr},
           {"tie_word_embeddings", "bool", true}}};
}

Architecture read_bert_facts(const Config& config) {
  config.only("is_decoder", false);
  config.only("add_cross_attention", false);
  SizeKeys keys;
  keys.kv_heads = keys.head_width = "";
  Architecture facts = read_sizes(config, keys);
  facts.is_causal = false;
  facts.norm = {NormKind::kLayer, config.epsilon("layer_norm_eps")};
  facts.norm.has_bias = facts.norm.is_after_addition = true;
  facts.token_types = config.positive("type_vocab_size");
  facts.position_rows = config.positive("max_position_embeddings");
  facts.activation = read_activation(config, "hidden_act");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  facts.is_gated = false;
  facts.has_qkv_bias = facts.has_output_bias = facts.has_mlp_bias = true;
  return facts;
}

std::vector<TensorRow> bert_rows(const Architecture& a, const std::string& model) {
  const std::string embeddings = model + "embeddings.", layer = model + "encoder.layer.{}.";
  TensorRows rows(a);
  rows.embedding(embeddings + "word_embeddings")
      .parameter(embeddings + "token_type_embeddings.weight", Weight::kTokenTypes,
                 {a.token_types, a.channels})
      .positions(embeddings + "position_embeddings")
      .norm(embeddings + "LayerNorm", Weight::kEmbeddingNorm)
      .query_key_value(layer + "attention.self.", "query", "key", "value")
      .attention_output(layer + "attention.output.dense")
      .norm(layer + "attention.output.LayerNorm", Weight::kAttentionNorm)
      .up_down(layer + "intermediate.dense", layer + "output.dense")
      .norm(layer + "output.LayerNorm", Weight::kMlpNorm);
  return rows.list();
}

Family bert_family() {
  return {"bert",
          read_bert,
          own_rows,
          {"bert.pooler.*", "cls.*", "classifier.*", "qa_outputs.*"},
          "bert.",
          "encoder of text: attention without a mask; LayerNorm after each addition and on the "
          "embeddings; learned positions; GELU without a gate; biases",
          bert_keys()};
}

}  // namespace actsweep
