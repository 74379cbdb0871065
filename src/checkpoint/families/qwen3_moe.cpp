// Qwen3-MoE: Qwen3's attention; routed experts in some layers, a dense MLP in the others.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

ConfigKeys qwen3_moe_keys() {
  auto keys = qwen2_moe_keys().but(
      {{"intermediate_size", "int", 6144},
       {"num_attention_heads", "int", 32},
       {"num_key_value_heads", "int", 4},
       {"attention_bias", "bool", false},
       {"moe_intermediate_size", "int", 768},
       {"num_experts_per_tok", "int", 8},
       {"num_experts", "int", 128}},
      {"max_window_layers", "shared_expert_intermediate_size", "qkv_bias", "layer_types"});
  keys.aliases = {{"num_local_experts", "num_experts"}};
  return keys;
}

Architecture read_qwen3_moe(const Config& config) {
  Architecture facts = read_llama_facts(config);
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.query_key_norm = QueryKeyNorm::kEachHead;
  if (config.flag("use_sliding_window")) read_window(config, facts);
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
          "sliding window where asked",
          qwen3_moe_keys()};
}

}  // namespace actsweep
