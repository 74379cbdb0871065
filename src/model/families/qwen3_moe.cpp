// Qwen3-MoE: Qwen3's attention; routed experts in some layers, a dense MLP in the others.
#include "model/decoder_facts.h"
#include "model/family.h"

namespace actsweep {
namespace {

Architecture read_qwen3_moe(const Config& config) {
  config.positive("num_key_value_heads");  // transformers' default of 4 would be a guess here
  Architecture facts = read_llama_facts(config);
  facts.query_key_norm = QueryKeyNorm::kEachHead;
  if (config.flag_or("use_sliding_window", false)) read_window(config, facts);
  read_qwen_experts(config, facts);
  return facts;
}

}  // namespace

Family qwen3_moe_family() {
  return {"qwen3_moe",
          read_qwen3_moe,
          qwen_moe_rows,
          {},
          "model.",
          "Qwen3's attention; routed experts in some layers, a dense MLP in the others; "
          "sliding window where asked"};
}

}  // namespace actsweep
