// ERNIE 4.5 without experts: Llama's shape with rotary positions on neighbouring channels; biases
// where config.json says so.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

ConfigKeys ernie4_5_keys() {
  return llama_keys().but({{"vocab_size", "int", 103424},
                           {"hidden_size", "int", 1024},
                           {"intermediate_size", "int", 3072},
                           {"num_hidden_layers", "int", 18},
                           {"num_attention_heads", "int", 16},
                           {"num_key_value_heads", "int|None", 2},
                           {"max_position_embeddings", "int", 131072},
                           {"rms_norm_eps", "float", 1e-05},
                           {"use_cache", "bool|None", true},
                           {"pad_token_id", "int|None", 0},
                           {"tie_word_embeddings", "bool", true},
                           {"use_bias", "bool|None", false},
                           {"head_dim", "int|None", 128}},
                          {"pretraining_tp", "attention_bias", "attention_dropout", "mlp_bias"});
}

Architecture read_ernie4_5(const Config& config) {
  RopeKeys keys;
  keys.theta = 500000;
  Architecture facts = read_llama_facts(config, keys);
  facts.ropes.front().is_interleaved = true;
  facts.has_qkv_bias = facts.has_output_bias = facts.has_mlp_bias = config.flag("use_bias");
  return facts;
}

}  // namespace

Family ernie4_5_family() {
  return {
      "ernie4_5",     read_ernie4_5,
      llama_rows,     {},
      "model.",       "Llama with rotary positions on neighbouring channels; biases by `use_bias`",
      ernie4_5_keys()};
}

}  // namespace actsweep
