#include "model/delta_heads.h"

#include <ATen/ATen.h>

#include <cmath>

#include "kernels/delta_rule.h"
#include "kernels/gated_states.h"
#include "kernels/product.h"
#include "kernels/short_convolution.h"

namespace actsweep {

DeltaHeads::DeltaHeads(const Architecture& architecture, const ModelShare& share, at::Device device)
    : a_(architecture),
      d_(architecture.delta),
      heads_(share.delta_heads.size()),
      keys_(heads_ * d_.key_width),
      values_(heads_ * d_.value_channels()),
      ops_(row_ops_of(device)) {}

int64_t DeltaHeads::wide_width() const { return delta_projection_width(d_, heads_); }

int64_t DeltaHeads::out_width() const { return values_; }

/// Queries, keys and values behind the convolution and its activation: [n, 2 keys + values]
/// float32.
at::Tensor DeltaHeads::convolve(const StageWeights& weights, const Sequences& sequences,
                                const at::Tensor& wide) const {
  auto convolved = convolve_causally(wide.narrow(1, 0, 2 * keys_ + values_),
                                     weights[Weight::kConvolution], {}, sequences.positions);
  ops_.activate(convolved, a_.activation);
  return convolved;
}

/// The heads' outputs, [n, values] float32.
at::Tensor DeltaHeads::recur(const StageWeights& weights, const Sequences& sequences,
                             const at::Tensor& wide) const {
  const int64_t positions = sequences.positions, heads = heads_ * d_.values_per_key();
  const auto convolved = convolve(weights, sequences, wide);
  const auto of_heads = [&](int64_t part) {
    return wide.narrow(1, 2 * (keys_ + values_) + part * heads, heads).to(at::kFloat);
  };
  const auto step = at::softplus(of_heads(1) + weights[Weight::kStepBias]);
  const auto rates = weights[Weight::kDecay].exp();
  const double scale = 1 / std::sqrt(static_cast<double>(d_.key_width));
  const DeltaRows rows = {
      unit_heads(convolved.narrow(1, 0, keys_), positions, d_.key_width) * scale,
      unit_heads(convolved.narrow(1, keys_, keys_), positions, d_.key_width),
      convolved.narrow(1, 2 * keys_, values_).view({-1, positions, heads, d_.value_width}),
      at::sigmoid(of_heads(0)).view({-1, positions, heads}),
      (step * rates).neg_().view({-1, positions, heads})};
  return gated_delta_rule(rows).view({-1, values_});
}

void DeltaHeads::run(const StageWeights& weights, const LayerView&, const Sequences& sequences,
                     MixerRows& rows) {
  if (heads_ == 0) return;
  project(rows.in, weights[Weight::kMixerIn], {}, rows.wide);
  auto out = recur(weights, sequences, rows.wide);
  auto by_head = out.view({-1, d_.value_width});
  ops_.normalise(by_head, {NormKind::kRms, weights[Weight::kMixerNorm], {}, a_.norm.epsilon, 0},
                 by_head);
  const auto gate = rows.wide.narrow(1, 2 * keys_ + values_, values_).to(at::kFloat);
  rows.out.copy_(out.mul_(at::silu(gate)));
}

int64_t delta_projection_width(const DeltaFacts& facts, int64_t key_heads) {
  if (key_heads == 0) return 0;
  return key_heads * 2 * (facts.key_width + facts.value_channels() + facts.values_per_key());
}

int64_t delta_bytes(const Architecture& architecture, const ModelShare& share, int64_t rows,
                    int64_t positions) {
  const auto& d = architecture.delta;
  const int64_t heads = share.delta_heads.size();
  if (heads == 0) return 0;
  const int64_t all = heads * d.values_per_key();  // each with a key of its own, at most
  // In float32 what is convolved, before and behind; the gates, twice.
  const int64_t channels = 2 * heads * d.key_width + heads * d.value_channels();
  return 4 * rows * (2 * channels + 2 * heads * d.value_channels()) +
         gated_state_bytes(rows, positions, {all, all, d.key_width, d.value_width});
}

}  // namespace actsweep
