// Qwen3: Llama's shape with an RMSNorm on each head of query and key; a sliding window on the upper
// layers where config.json asks for it.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

ConfigKeys qwen3_keys() {
  return qwen2_keys().but({{"head_dim", "int", 128}, {"attention_bias", "bool", false}});
}

Architecture read_qwen3(const Config& config) {
  Architecture facts = read_llama_facts(config);
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
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
          "upper layers where asked",
          qwen3_keys()};
}

}  // namespace actsweep
