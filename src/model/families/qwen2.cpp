// Qwen2 and 2.5: Llama's shape with biases on query, key and value; a sliding window on the upper
// layers where config.json asks for it.
#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

Architecture read_qwen2(const Config& config) {
  config.positive("num_key_value_heads");  // transformers' default of 32 would be a guess here
  config.only("mlp_bias", false);
  Architecture facts = read_llama_facts(config);
  facts.has_qkv_bias = true;
  facts.has_output_bias = false;
  read_upper_windows(config, facts);
  return facts;
}

}  // namespace

Family qwen2_family() {
  return {"qwen2",
          read_qwen2,
          llama_rows,
          {"model.layers.{}.self_attn.rotary_emb.inv_freq"},
          "model.",
          "Llama with biases on query, key and value; sliding window on the upper layers "
          "where asked"};
}

}  // namespace actsweep
