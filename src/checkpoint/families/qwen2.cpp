// Qwen2 and 2.5: Llama's shape with biases on query, key and value; a sliding window on the upper
// layers where config.json asks for it.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

Architecture read_qwen2(const Config& config) {
  Architecture facts = read_llama_facts(config);
  facts.has_qkv_bias = true;
  read_upper_windows(config, facts);
  return facts;
}

}  // namespace

ConfigKeys qwen2_keys() {
  return {{{"vocab_size", "int", 151936},
           {"hidden_size", "int", 4096},
           {"intermediate_size", "int", 22016},
           {"num_hidden_layers", "int", 32},
           {"num_attention_heads", "int", 32},
           {"num_key_value_heads", "int|None", 32},
           {"hidden_act", "str", "silu"},
           {"max_position_embeddings", "int", 32768},
           {"initializer_range", "float", 0.02},
           {"rms_norm_eps", "float", 1e-06},
           {"use_cache", "bool", true},
           {"tie_word_embeddings", "bool", false},
           {"rope_parameters", "dict|None", nullptr},
           {"use_sliding_window", "bool", false},
           {"sliding_window", "int|None", 4096},
           {"max_window_layers", "int", 28},
           {"layer_types", "list[str]|None", nullptr},
           {"attention_dropout", "float|int", 0.0},
           {"pad_token_id", "int|None", nullptr},
           {"bos_token_id", "int|None", nullptr},
           {"eos_token_id", "int|list[int]|None", nullptr},
           {"head_dim", "int"}}};
}

Family qwen2_family() {
  return {"qwen2",
          read_qwen2,
          llama_rows,
          {},
          "model.",
          "Llama with biases on query, key and value; sliding window on the upper layers "
          "where asked",
          qwen2_keys()};
}

}  // namespace actsweep
