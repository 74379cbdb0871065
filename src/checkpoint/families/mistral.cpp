// Mistral: Llama's shape without biases, with a sliding window on every layer.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

const ConfigKeys kMistralKeys = {{{"vocab_size", "int", 32000},
                                  {"hidden_size", "int", 4096},
                                  {"intermediate_size", "int", 14336},
                                  {"num_hidden_layers", "int", 32},
                                  {"num_attention_heads", "int", 32},
                                  {"num_key_value_heads", "int", 8},
                                  {"head_dim", "int|None", nullptr},
                                  {"hidden_act", "str", "silu"},
                                  {"max_position_embeddings", "int", 131072},
                                  {"initializer_range", "float", 0.02},
                                  {"rms_norm_eps", "float", 1e-06},
                                  {"use_cache", "bool", true},
                                  {"pad_token_id", "int|None", nullptr},
                                  {"bos_token_id", "int|None", 1},
                                  {"eos_token_id", "int|list[int]|None", 2},
                                  {"tie_word_embeddings", "bool", false},
                                  {"rope_parameters", "dict|None", nullptr},
                                  {"sliding_window", "int|None", 4096},
                                  {"attention_dropout", "float|int", 0.0}}};

Architecture read_mistral(const Config& config) {
  // transformers takes such a config for another type, "ministral".
  if (config.contains("layer_types")) config.refuse("layer_types", "no such key in a \"mistral\"");
  Architecture facts = read_llama_facts(config);
  read_window(config, facts);
  return facts;
}

}  // namespace

Family mistral_family() {
  return {"mistral",   read_mistral,
          llama_rows,  {"model.layers.{}.self_attn.rotary_emb.inv_freq"},
          "model.",    "Llama without biases; sliding window on every layer",
          kMistralKeys};
}

}  // namespace actsweep
