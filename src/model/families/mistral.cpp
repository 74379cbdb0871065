// Mistral: Llama's shape without biases, with a sliding window on every layer.
#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

Architecture read_mistral(const Config& config) {
  config.positive("num_key_value_heads");  // transformers' default of 8 would be a guess here
  config.only("attention_bias", false);
  config.only("mlp_bias", false);
  Architecture facts = read_llama_facts(config);
  // A null window means none; a missing key means transformers' default of 4096.
  const bool is_null = config.values().contains("sliding_window") && !config.has("sliding_window");
  if (!is_null) facts.window.assign(facts.layers, config.positive_or("sliding_window", 4096));
  return facts;
}

}  // namespace

Family mistral_family() {
  return {"mistral",  read_mistral,
          llama_rows, {"model.layers.{}.self_attn.rotary_emb.inv_freq"},
          "model.",   "Llama without biases; sliding window on every layer"};
}

}  // namespace actsweep
