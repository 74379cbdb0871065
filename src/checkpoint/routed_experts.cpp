#include "checkpoint/routed_experts.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {

void read_routed_experts(const Config& config, Architecture& facts) {
  facts.experts = {config.positive("n_routed_experts", kMostCount),
                   config.positive("num_experts_per_tok", kMostCount),
                   config.positive("moe_intermediate_size")};
  facts.experts.shared_width =
      config.positive("n_shared_experts", kMostCount) * facts.experts.ffn_width;
  facts.experts.layers.assign(facts.layers, true);
  if (facts.experts.shared_width > kMostSize) {
    config.refuse("n_shared_experts", "at most 2147483647 neurons of shared experts");
  }
  check_experts(config, facts, R"("n_routed_experts" or "num_local_experts")");
}

void read_first_dense_layers(const Config& config, Architecture& facts) {
  const char* key = "first_k_dense_replace";
  const auto& dense = config.values().at(key);
  if (dense.is_null()) config.refuse(key, "a whole number");
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    facts.experts.layers[layer] = layer >= dense;
  }
}

void read_expert_groups(const Config& config, Architecture& facts) {
  auto& router = facts.experts.router;
  router.groups = config.positive("n_group", kMostCount);
  router.chosen_groups = config.positive("topk_group", kMostCount);
  const int64_t count = facts.experts.count, size = count / router.groups;
  const int64_t least = router.group_score == GroupScore::kBestTwo ? 2 : 1;
  if (count % router.groups != 0 || size < least) {
    config.refuse("n_group", fmt::format("a divisor of the {} experts (\"n_routed_experts\" or "
                                         "\"num_local_experts\") that leaves groups of at least {}",
                                         count, least));
  }
  if (router.chosen_groups > router.groups) {
    config.refuse("topk_group", fmt::format("at most the {} groups (\"n_group\")", router.groups));
  }
  if (facts.experts.chosen > router.chosen_groups * size) {
    config.refuse("num_experts_per_tok",
                  fmt::format("at most the {} experts of {} groups (\"topk_group\")",
                              router.chosen_groups * size, router.chosen_groups));
  }
}

void read_router_factor(const Config& config, Architecture& facts) {
  constexpr double kMost = 1000;  // with a larger factor the streams would overflow float32
  const char* key = "routed_scaling_factor";
  facts.experts.router.scale = config.number(key);
  if (std::abs(facts.experts.router.scale) > kMost) config.refuse(key, "a factor of at most 1000");
}

void read_sigmoid_router(const Config& config, Architecture& facts) {
  auto& router = facts.experts.router;
  router.score = RouterScore::kSigmoid;
  router.is_float32 = true;
  router.epsilon = 1e-20;
  read_router_factor(config, facts);
  facts.experts.renormalises = config.flag("norm_topk_prob");
  read_expert_groups(config, facts);
  check_published_router(config);
}

void read_prediction_layers(const Config& config, Architecture& facts) {
  for (const char* key : {"num_nextn_predict_layers", "num_mtp_layers"}) {
    if (!config.has(key)) continue;
    facts.prediction_layers = std::max<int64_t>(0, static_cast<int64_t>(config.number(key)));
    return;
  }
}

void check_published_router(const Config& config) {
  config.only("scoring_func", "sigmoid");
  config.only("topk_method", "noaux_tc");
  config.only("moe_layer_freq", 1);
}

void add_routed_mlp(const std::string& prefix, const Architecture& a, TensorRows& rows,
                    bool has_correction) {
  rows.gate_up_down(prefix).router(prefix + "gate", false);
  if (has_correction) {
    rows.router_correction(prefix + "gate.e_score_correction_bias", {a.experts.count});
  }
  rows.experts(prefix + "experts.{e}.", "gate_proj", "up_proj", "down_proj")
      .shared_expert(prefix + "shared_experts.");
}

std::vector<TensorRow> routed_llama_rows(const Architecture& a) {
  return llama_rows_around(a, [](const Architecture& facts, TensorRows& rows) {
    add_routed_mlp("model.layers.{}.mlp.", facts, rows);
  });
}

}  // namespace actsweep
