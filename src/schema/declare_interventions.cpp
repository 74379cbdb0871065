// What interventions and variants write.
#include <fmt/format.h>

#include <tuple>

#include "schema/declare_statistics.h"

namespace actsweep {

using enum Axis;
using enum ElementType;

std::vector<Dataset> declare_interventions() {
  return {
      {"interventions/matched_tokens",
       kInt64,
       {kIntervention},
       "1",
       "tokens that the intervention matched, summed over its layers; jobs with interventions "
       "alone",
       Merge::kSum},
      {"interventions/changed_activations",
       kInt64,
       {kIntervention},
       "1",
       "activations that it overwrote; jobs with interventions alone",
       Merge::kSum},
  };
}

std::vector<Dataset> declare_variant_rows(PerToken per_token) {
  if (per_token == PerToken::kNone) return {};
  return {{"variants/token_nll",
           kFloat32,
           {kVariant, per_token == PerToken::kMassive ? kRow : kToken},
           "nat",
           "loss/token_nll of a variant; jobs with variants alone",
           Merge::kRows}};
}

Dataset declare_variant_scores() {
  return {"variants/log_likelihood",
          kFloat64,
          {kVariant, kSequence},
          "nat",
          "requests/log_likelihood of a variant; corpora of tasks and jobs with variants alone",
          Merge::kRows};
}

std::vector<Dataset> declare_variant_classification() {
  std::vector<Dataset> datasets;
  for (const auto& [name, type, units] :
       {std::tuple("predicted", kUInt32, "1"), std::tuple("label_rank", kUInt32, "1"),
        std::tuple("label_log_likelihood", kFloat64, "nat")}) {
    datasets.push_back(
        {fmt::format("variants/{}", name),
         type,
         {kVariant, kSequence},
         units,
         fmt::format("classification/{} of a variant, of a classifier; jobs with variants alone",
                     name),
         Merge::kRows});
  }
  return datasets;
}

std::vector<Dataset> declare_variant_losses() {
  return {
      {"variants/nll_sum",
       kFloat64,
       {kVariant},
       "nat",
       "loss/nll_sum of a variant; jobs with variants alone",
       Merge::kSum},
      {"variants/target_count",
       kInt64,
       {kVariant},
       "1",
       "loss/target_count of a variant; jobs with variants alone",
       Merge::kSum},
      {"variants/window_mean_sum",
       kFloat64,
       {kVariant},
       "nat",
       "loss/window_mean_sum of a variant; jobs with variants alone",
       Merge::kSum},
      {"variants/window_count",
       kInt64,
       {kVariant},
       "1",
       "loss/window_count of a variant; jobs with variants alone",
       Merge::kSum},
  };
}

std::vector<Dataset> declare_variant_matches() {
  return {
      {"variants/matched_tokens",
       kInt64,
       {kVariant},
       "1",
       "tokens that the variant's interventions matched; jobs with variants alone",
       Merge::kSum},
      {"variants/changed_activations",
       kInt64,
       {kVariant},
       "1",
       "activations that they overwrote; jobs with variants alone",
       Merge::kSum},
  };
}

std::vector<Dataset> declare_variant_perplexities() {
  return {
      {"variants/perplexity",
       kFloat64,
       {kVariant},
       "1",
       "perplexity over tokens of a variant; jobs with variants alone",
       Merge::kDerived},
      {"variants/windows_perplexity",
       kFloat64,
       {kVariant},
       "1",
       "perplexity of a variant from the mean of window means; jobs with variants alone",
       Merge::kDerived},
  };
}

}  // namespace actsweep
