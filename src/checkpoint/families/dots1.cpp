// dots.llm1: Qwen3's attention, windows on the upper layers; dense layers first, then routed
// experts beside shared ones.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/routed_experts.h"

namespace actsweep {
namespace {

ConfigKeys dots1_keys() {
  auto keys = llama_keys().but({{"vocab_size", "int", 152064},
                                {"hidden_size", "int", 4608},
                                {"intermediate_size", "int", 10944},
                                {"num_hidden_layers", "int", 62},
                                {"num_key_value_heads", "int|None", 32},
                                {"moe_intermediate_size", "int", 1408},
                                {"n_shared_experts", "int|None", nullptr},
                                {"n_routed_experts", "int|None", nullptr},
                                {"output_router_logits", "bool", false},
                                {"n_group", "int|None", 1},
                                {"topk_group", "int|None", 1},
                                {"num_experts_per_tok", "int|None", nullptr},
                                {"first_k_dense_replace", "int|None", 0},
                                {"norm_topk_prob", "bool|None", false},
                                {"attention_dropout", "float|int|None", 0.0},
                                {"routed_scaling_factor", "float", 1.0},
                                {"sliding_window", "int|None", 4096},
                                {"max_window_layers", "int|None", 62},
                                {"layer_types", "list[str]|None", nullptr},
                                {"bos_token_id", "int|None", nullptr},
                                {"eos_token_id", "int|list[int]|None", nullptr},
                                {"head_dim", "int"}},
                               {"pretraining_tp", "mlp_bias"});
  keys.aliases = {{"num_local_experts", "n_routed_experts"}};
  return keys;
}

/// By `layer_types`, else from layer max_window_layers up.
void read_windows(const Config& config, Architecture& facts) {
  auto slides = read_sliding_layers(config, facts);
  if (!config.has("sliding_window")) return check_unused_windows(config, slides);
  const char* key = "max_window_layers";
  const auto& first = config.values().at(key);
  if (slides.empty() && first.is_null()) config.refuse(key, "a whole number");
  for (int64_t layer = slides.size(); layer < facts.layers; ++layer) {
    slides.push_back(layer >= first);
  }
  use_sliding_window(config, facts, slides);
}

Architecture read_dots1(const Config& config) {
  Architecture facts = read_llama_facts(config);
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.query_key_norm = QueryKeyNorm::kEachHead;
  read_windows(config, facts);
  read_routed_experts(config, facts);
  read_first_dense_layers(config, facts);
  read_sigmoid_router(config, facts);
  return facts;
}

}  // namespace

Family dots1_family() {
  return {"dots1",
          read_dots1,
          routed_llama_rows,
          {},
          "model.",
          "Qwen3's attention, sliding window on the upper layers; dense layers first, then experts "
          "routed by sigmoid scores with a selection bias, beside shared ones",
          dots1_keys()};
}

}  // namespace actsweep
