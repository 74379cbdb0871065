#include "model/mlp.h"

#include <ATen/ATen.h>

#include "kernels/ops.h"
#include "kernels/product.h"

namespace actsweep {
namespace {

/// One expert's weights, as views into those of all experts of the stage.
struct Expert {
  at::Tensor gate_up, gate_up_bias, down, down_bias;
};

Expert expert_of(const StageWeights& weights, int64_t index, int64_t width, int64_t channels) {
  const auto part = [&](Weight weight, int64_t rows) {
    const auto& all = weights[weight];
    return all.defined() ? all.narrow(0, index * rows, rows) : at::Tensor();
  };
  return {part(Weight::kExpertGateUp, 2 * width), part(Weight::kExpertGateUpBias, 2 * width),
          part(Weight::kExpertDown, channels), part(Weight::kExpertDownBias, channels)};
}

/// The gate of gpt-oss: min(gate, clamp) * sigmoid(alpha * gate) * (up + 1), both clamped.
at::Tensor clamped_gate(const at::Tensor& gate_up, int64_t width, const ExpertFacts& facts) {
  const auto gates = gate_up.narrow(1, 0, width).to(at::kFloat).clamp_max(facts.clamp);
  const auto ups = gate_up.narrow(1, width, width).to(at::kFloat).clamp(-facts.clamp, facts.clamp);
  const auto gated = gates * at::sigmoid(gates * facts.gate_alpha);
  return ((ups + 1) * gated).to(gate_up.scalar_type());
}

/// rows [n, C] -> [n, neurons of an expert].
at::Tensor hidden_of(const Architecture& a, const Expert& expert, const at::Tensor& rows) {
  const int64_t width = a.experts.ffn_width, count = rows.size(0);
  auto gate_up = at::empty({count, 2 * width}, rows.options());
  project(rows, expert.gate_up, expert.gate_up_bias, gate_up);
  if (a.experts.clamp > 0) return clamped_gate(gate_up, width, a.experts);
  auto hidden = at::empty({count, width}, rows.options());
  row_ops_of(rows.device()).gate(gate_up, a.activation, hidden);
  return hidden;
}

}  // namespace

void mlp_hidden(const Architecture& a, const StageWeights& weights, const LayerView& view,
                const at::Tensor& rows, at::Tensor& wide, at::Tensor& hidden) {
  const int64_t neurons = hidden.size(1);
  auto& projected = a.is_gated ? wide : hidden;
  if (neurons > 0) project(rows, weights[Weight::kGateUp], weights[Weight::kGateUpBias], projected);
  if (a.is_gated) view.show(Site::kGate, wide.narrow(1, 0, neurons));
  view.show(Site::kUp, a.is_gated ? wide.narrow(1, neurons, neurons) : hidden);
  const auto& ops = row_ops_of(rows.device());
  if (neurons > 0 && a.is_gated) ops.gate(wide, a.activation, hidden);
  if (neurons > 0 && !a.is_gated) ops.activate(hidden, a.activation);
  if (neurons > 0 && weights.has(Weight::kSharedGate)) {
    auto gates = at::empty({rows.size(0), 1}, rows.options());
    project(rows, weights[Weight::kSharedGate], {}, gates);
    hidden.mul_(at::sigmoid(gates));
  }
  view.show(Site::kMlpHidden, hidden);
}

Routing route(const Architecture& a, const StageWeights& weights, const at::Tensor& rows) {
  auto logits = at::empty({rows.size(0), a.experts.count}, rows.options());
  project(rows, weights[Weight::kRouter], weights[Weight::kRouterBias], logits);
  const auto probability = at::softmax(logits.to(at::kFloat), 1);
  auto [weight, expert] = at::topk(probability, a.experts.chosen, 1);
  if (a.experts.renormalises) weight = weight / weight.sum(1, /*keepdim=*/true);
  return {expert, weight};
}

void add_expert_outputs(const Architecture& a, Share experts, const StageWeights& weights,
                        const LayerView& view, ExpertRows& rows) {
  const bool is_seen = view.observer != nullptr && view.observer->wants_experts();
  for (int64_t number = experts.begin; number < experts.end; ++number) {
    const auto chosen = at::nonzero(rows.routing.expert.eq(number));  // [rows of the expert, 2]
    if (chosen.size(0) == 0) continue;
    const auto row = chosen.select(1, 0), place = chosen.select(1, 1);
    const auto weight = rows.routing.weight.index({row, place}).unsqueeze(1);
    const auto expert = expert_of(weights, number - experts.begin, a.experts.ffn_width, a.channels);
    const auto input = rows.input.index_select(0, row);
    const auto hidden = hidden_of(a, expert, input);
    auto output = at::empty_like(input);
    project(hidden, expert.down, expert.down_bias, output);
    if (is_seen) view.observer->see_expert({view.layer, number, row, input, hidden, output});
    rows.sum.index_add_(0, row, output.to(at::kFloat) * weight);
  }
}

}  // namespace actsweep
