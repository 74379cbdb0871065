// Nemotron 3 and 4, Minitron, and Arcee's AFM: a squared ReLU without a gate. Nemotron has
// LayerNorm with weights less 1 and rotary positions on a part of each head; Arcee is otherwise of
// Llama's shape.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

ConfigKeys arcee_keys() {
  return llama_keys().but({{"hidden_size", "int", 2560},
                           {"intermediate_size", "int", 18432},
                           {"hidden_act", "str", "relu2"},
                           {"max_position_embeddings", "int", 4096},
                           {"rms_norm_eps", "float", 1e-05},
                           {"bos_token_id", "int|None", 128000},
                           {"eos_token_id", "int|list[int]|None", 128001},
                           {"attention_dropout", "float|int", 0.0}},
                          {"pretraining_tp"});
}

ConfigKeys nemotron_keys() {
  return llama_keys().but({{"vocab_size", "int", 256000},
                           {"hidden_size", "int", 6144},
                           {"intermediate_size", "int", 24576},
                           {"num_attention_heads", "int", 48},
                           {"hidden_act", "str", "relu2"},
                           {"max_position_embeddings", "int", 4096},
                           {"initializer_range", "float", 0.0134},
                           {"norm_eps", "float", 1e-05},
                           {"bos_token_id", "int|None", 2},
                           {"eos_token_id", "int|list[int]|None", 3},
                           {"attention_dropout", "float|int", 0.0}},
                          {"pretraining_tp", "rms_norm_eps"});
}

void read_biases(const Config& config, Architecture& facts) {
  facts.is_gated = false;
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.has_mlp_bias = config.flag("mlp_bias");
}

Architecture read_arcee(const Config& config) {
  Architecture facts = read_llama_facts(config);
  check_channels_of_heads(config, facts);
  read_biases(config, facts);
  return facts;
}

Architecture read_nemotron(const Config& config) {
  config.positive("num_key_value_heads");  // transformers has no use for null here
  Architecture facts = read_sizes(config);
  facts.norm = {NormKind::kLayer, config.epsilon("norm_eps"), 1};
  facts.norm.has_bias = true;
  facts.activation = read_activation(config, "hidden_act");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  read_biases(config, facts);
  RopeKeys rope;
  rope.rotates_part = true;
  rope.fraction = 0.5;
  read_rope(config, facts, rope);
  return facts;
}

std::vector<TensorRow> ungated_rows(const Architecture& a) {
  return llama_rows_around(a, [](const Architecture&, TensorRows& rows) {
    const std::string mlp = "model.layers.{}.mlp.";
    rows.up_down(mlp + "up_proj", mlp + "down_proj");
  });
}

}  // namespace

Family arcee_family() {
  return {"arcee",
          read_arcee,
          ungated_rows,
          {},
          "model.",
          "Llama's shape with a squared ReLU without a gate; biases by `attention_bias` and "
          "`mlp_bias`",
          arcee_keys()};
}

Family nemotron_family() {
  return {"nemotron",
          read_nemotron,
          ungated_rows,
          {},
          "model.",
          "LayerNorm before each branch, its weights stored less 1; rotary positions on a part of "
          "each head; grouped queries; squared ReLU without a gate; biases by `attention_bias` and "
          "`mlp_bias`",
          nemotron_keys()};
}

}  // namespace actsweep
