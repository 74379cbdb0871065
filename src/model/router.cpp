#include "model/router.h"

#include <ATen/ATen.h>

#include <limits>
#include <vector>

#include "kernels/product.h"

namespace actsweep {
namespace {

constexpr float kOut = -std::numeric_limits<float>::infinity();

/// `values` [n, E] with -inf for the experts that a row may not choose.
at::Tensor without(const at::Tensor& is_barred, const at::Tensor& values) {
  return is_barred.defined() ? values.masked_fill(is_barred, kOut) : values;
}

/// [n, E] float32.
at::Tensor logits_of(const Architecture& a, const StageWeights& weights, const at::Tensor& rows) {
  const auto& facts = a.experts.router;
  const auto dtype = facts.is_float32 ? at::kFloat : rows.scalar_type();
  auto logits = at::empty({rows.size(0), a.experts.count}, rows.options().dtype(dtype));
  project(rows.to(dtype), weights[Weight::kRouter].to(dtype), weights[Weight::kRouterBias], logits);
  const auto wide = logits.to(at::kFloat);
  return facts.logit_scale == 1 ? wide : wide * facts.logit_scale;
}

/// Of each row the best expert, weighed among those that are close to it; then the best of the
/// rest in the same way, and so on.
Routing mix_sparsely(const at::Tensor& logits, double band, int64_t chosen) {
  std::vector<at::Tensor> experts, weights;
  auto left = logits;
  for (int64_t choice = 0; choice < chosen; ++choice) {
    const auto [best, expert] = left.max(1, /*keepdim=*/true);
    const auto is_far = (best - logits) / logits.abs().maximum(best) > band;
    weights.push_back(left.masked_fill(is_far, kOut).softmax(1).gather(1, expert));
    experts.push_back(expert);
    left = left.scatter(1, expert, kOut);
  }
  return {at::cat(experts, 1), at::cat(weights, 1)};
}

/// choice [n, E], with -inf for the experts of groups that a row does not choose.
at::Tensor of_chosen_groups(const RouterFacts& facts, const at::Tensor& choice) {
  const auto grouped = choice.unflatten(1, {facts.groups, -1});
  const auto score = facts.group_score == GroupScore::kBest
                         ? grouped.amax(2)
                         : std::get<0>(at::topk(grouped, 2, 2)).sum(2);
  const auto chosen = std::get<1>(at::topk(score, facts.chosen_groups, 1));
  const auto is_left_out = at::ones_like(score, at::kBool).scatter_(1, chosen, 0).unsqueeze(2);
  return grouped.masked_fill(is_left_out, kOut).flatten(1);
}

}  // namespace

Routing route(const Architecture& a, const StageWeights& weights, const at::Tensor& rows,
              const at::Tensor& is_barred) {
  const auto& facts = a.experts.router;
  const auto logits = without(is_barred, logits_of(a, weights, rows));
  if (facts.score == RouterScore::kSparseMixer) {
    return mix_sparsely(logits, facts.band, a.experts.chosen);
  }
  const auto scores =
      facts.score == RouterScore::kSigmoid ? at::sigmoid(logits) : at::softmax(logits, 1);
  auto choice = facts.chooses_by_logits ? logits : scores;
  if (weights.has(Weight::kRouterCorrection)) choice = choice + weights[Weight::kRouterCorrection];
  choice = without(is_barred, choice);  // a sigmoid of -inf is a number
  if (facts.chosen_groups < facts.groups) choice = of_chosen_groups(facts, choice);
  const auto expert = std::get<1>(at::topk(choice, a.experts.chosen, 1));
  auto weight = scores.gather(1, expert);
  if (a.experts.renormalises) {
    weight = weight / (weight.sum(1, /*keepdim=*/true) + facts.epsilon).clamp_min(facts.least_sum);
  }
  if (weights.has(Weight::kExpertScale)) {
    weight = weight * weights[Weight::kExpertScale].index({expert});
  }
  return {expert, facts.scale == 1 ? weight : weight * facts.scale};
}

}  // namespace actsweep
