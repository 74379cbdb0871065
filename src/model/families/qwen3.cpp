// Qwen3: Llama's shape with an RMSNorm on each head of query and key; a sliding window on the upper
// layers where config.json asks for it.
#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

Architecture read_qwen3(const Config& config) {
  config.positive("num_key_value_heads");  // transformers' defaults of 32 heads of 128 would be
  config.positive("head_dim");             // guesses here
  config.only("mlp_bias", false);
  Architecture facts = read_llama_facts(config);
  facts.query_key_norm = QueryKeyNorm::kEachHead;
  read_upper_windows(config, facts);
  return facts;
}

}  // namespace

Family qwen3_family() {
  return {"qwen3",
          read_qwen3,
          llama_rows,
          {},
          "model.",
          "Llama with an RMSNorm on each head of query and key; sliding window on the "
          "upper layers where asked"};
}

}  // namespace actsweep
