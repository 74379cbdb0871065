// StarCoder2: LayerNorm and biases, rotary positions, grouped query attention, GELU without a gate,
// a sliding window on all layers.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

const ConfigKeys kStarcoder2Keys = {{{"vocab_size", "int", 49152},
                                     {"hidden_size", "int", 3072},
                                     {"intermediate_size", "int", 12288},
                                     {"num_hidden_layers", "int", 30},
                                     {"num_attention_heads", "int", 24},
                                     {"num_key_value_heads", "int", 2},
                                     {"hidden_act", "str", "gelu_pytorch_tanh"},
                                     {"max_position_embeddings", "int", 4096},
                                     {"initializer_range", "float", 0.018042},
                                     {"norm_epsilon", "float", 1e-05},
                                     {"use_cache", "bool", true},
                                     {"bos_token_id", "int|None", 50256},
                                     {"eos_token_id", "int|list[int]|None", 50256},
                                     {"pad_token_id", "int|None", nullptr},
                                     {"rope_parameters", "dict|None", nullptr},
                                     {"sliding_window", "int|None", nullptr},
                                     {"attention_dropout", "float|int", 0.0},
                                     {"residual_dropout", "float|int", 0.0},
                                     {"embedding_dropout", "float|int", 0.0},
                                     {"use_bias", "bool", true},
                                     {"tie_word_embeddings", "bool", true},
                                     {"head_dim", "int|None"}}};

Architecture read_starcoder2(const Config& config) {
  Architecture facts = read_sizes(config);
  facts.norm = {NormKind::kLayer, config.epsilon("norm_epsilon")};
  facts.norm.has_bias = true;
  facts.activation = read_activation(config, "hidden_act");
  facts.is_gated = false;
  facts.has_qkv_bias = config.flag("use_bias");
  facts.has_output_bias = facts.has_mlp_bias = facts.has_qkv_bias;
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  read_rope(config, facts);
  read_window(config, facts);
  return facts;
}

std::vector<TensorRow> starcoder2_rows(const Architecture& a) {
  return llama_rows_around(a, [](const Architecture&, TensorRows& rows) {
    const std::string mlp = "model.layers.{}.mlp.";
    rows.up_down(mlp + "c_fc", mlp + "c_proj");
  });
}

}  // namespace

Family starcoder2_family() {
  return {"starcoder2",
          read_starcoder2,
          starcoder2_rows,
          {},
          "model.",
          "LayerNorm before each branch; rotary positions; grouped queries; sliding "
          "window; GELU (tanh) without a gate; biases by `use_bias`",
          kStarcoder2Keys};
}

}  // namespace actsweep
