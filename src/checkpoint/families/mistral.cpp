// Mistral: Llama's shape without biases, with a sliding window on every layer.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

Architecture read_mistral(const Config& config) {
  // transformers takes such a config for another type, "ministral".
  if (config.contains("layer_types")) config.refuse("layer_types", "no such key in a \"mistral\"");
  Architecture facts = read_llama_facts(config);
  read_window(config, facts);
  return facts;
}

}  // namespace

ConfigKeys mistral_keys() {
  return llama_keys().but({{"intermediate_size", "int", 14336},
                           {"num_key_value_heads", "int", 8},
                           {"max_position_embeddings", "int", 131072},
                           {"sliding_window", "int|None", 4096},
                           {"attention_dropout", "float|int", 0.0}},
                          {"pretraining_tp", "attention_bias", "mlp_bias"});
}

Family mistral_family() {
  return {"mistral",     read_mistral,
          llama_rows,    {},
          "model.",      "Llama without biases; sliding window on every layer",
          mistral_keys()};
}

}  // namespace actsweep
