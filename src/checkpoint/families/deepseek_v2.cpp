// DeepSeek-V2 and V2-Lite: latent attention; dense layers first, then experts chosen by softmax
// scores, within groups in the larger model, beside shared ones.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/latent_facts.h"
#include "checkpoint/routed_experts.h"

namespace actsweep {
namespace {

ConfigKeys deepseek_v2_keys() {
  auto keys = llama_keys().but({{"vocab_size", "int", 102400},
                                {"attention_dropout", "float|None", 0.0},
                                {"first_k_dense_replace", "int", 0},
                                {"kv_lora_rank", "int", 512},
                                {"q_lora_rank", "int|None", 1536},
                                {"n_group", "int|None", nullptr},
                                {"n_routed_experts", "int", 64},
                                {"output_router_logits", "bool", false},
                                {"n_shared_experts", "int", 2},
                                {"qk_nope_head_dim", "int", 128},
                                {"qk_rope_head_dim", "int", 64},
                                {"routed_scaling_factor", "float", 1.0},
                                {"topk_group", "int|None", nullptr},
                                {"topk_method", "str|None", "greedy"},
                                {"norm_topk_prob", "bool|None", false},
                                {"v_head_dim", "int", 128},
                                {"num_experts_per_tok", "int|None", nullptr},
                                {"moe_intermediate_size", "int", 1407}});
  keys.aliases = {{"num_experts", "n_routed_experts"}};
  return keys;
}

void read_router(const Config& config, Architecture& facts) {
  auto& router = facts.experts.router;
  router.is_float32 = true;
  router.group_score = GroupScore::kBest;
  read_router_factor(config, facts);
  const auto method = config.one_of("topk_method", {"greedy", "group_limited_greedy"});
  if (method != "greedy") read_expert_groups(config, facts);
  config.only("scoring_func", "softmax");  // published, and not read by transformers
  config.only("moe_layer_freq", 1);
  if (config.flag("norm_topk_prob")) config.refuse("norm_topk_prob", "false");
}

/// transformers takes the channels behind these as complex numbers.
void check_even(const Config& config, const char* key) {
  if (config.positive(key) % 2 != 0) config.refuse(key, "an even number");
}

Architecture read_deepseek_v2(const Config& config) {
  Architecture facts = read_latent_facts(config);
  check_channels_of_heads(config, facts);
  check_even(config, "qk_nope_head_dim");
  check_even(config, "kv_lora_rank");
  facts.ropes.front().is_interleaved = true;
  facts.has_mlp_bias = config.flag("mlp_bias");
  read_routed_experts(config, facts);
  read_first_dense_layers(config, facts);
  read_router(config, facts);
  return facts;
}

std::vector<TensorRow> deepseek_v2_rows(const Architecture& a) { return latent_rows(a, false); }

}  // namespace

Family deepseek_v2_family() {
  return {
      "deepseek_v2",
      read_deepseek_v2,
      deepseek_v2_rows,
      {},
      "model.",
      "latent attention; dense layers first, then experts routed by softmax scores, in groups by "
      "`topk_method`, beside shared ones",
      deepseek_v2_keys()};
}

}  // namespace actsweep
