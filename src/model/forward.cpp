#include "model/forward.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "model/mlp.h"
#include "model/norms.h"
#include "model/product.h"

namespace actsweep {

/// What a layer may put around a branch: each where its tensor rows have it.
struct Forward::Branch {
  Weight norm;
  Weight post_norm;
  Weight scale;
};

Forward::Forward(const Architecture& architecture, const Group& group, const Options& options)
    : architecture_(architecture),
      group_(group),
      share_(share_of(architecture, group.size(), group.rank())),
      device_(options.device),
      workspace_(architecture, share_, {options.owned_rows, group.size(), options.dtype},
                 options.device),
      heads_(architecture_, share_, group, options.positions, options.device) {
  for (const auto& rope : architecture_.ropes) needs_lengths_ |= rope.follows_length();
}

at::Tensor Forward::gather(int64_t rows) {
  auto gathered = workspace_.gathered(rows);
  return group_.all_gather(workspace_.normed(rows), gathered);
}

/// The gathered input of a branch: normed where the layer has that norm before the branch.
at::Tensor Forward::gather_input(const StageWeights& weights, Weight norm,
                                 const at::Tensor& residual) {
  auto normed = workspace_.normed(residual.size(0));
  if (weights.has(norm) && !architecture_.norm.is_after_addition) {
    normalise(residual, norm_of(architecture_, weights, norm), normed);
  } else {
    normed.copy_(residual);
  }
  return gather(residual.size(0));
}

/// One rank alone adds the bias of a sum.
at::Tensor Forward::bias_once(const StageWeights& weights, Weight bias) const {
  return group_.rank() == 0 ? weights[bias] : at::Tensor();
}

at::Tensor Forward::reduce(int64_t rows) {
  const auto partial = workspace_.partial(rows);
  if (group_.size() == 1) return partial;
  auto sum = workspace_.sum(rows);
  group_.reduce_scatter(partial, sum);
  return sum;
}

at::Tensor Forward::heads(const StageWeights& weights, const LayerView& view,
                          const Sequences& sequences, const at::Tensor& gathered, int64_t rows) {
  auto out = workspace_.heads(rows, heads_.out_width());
  auto qkv = workspace_.wide(rows, heads_.qkv_width());
  heads_.run(weights, view, sequences, gathered, qkv, out);
  return out;
}

at::Tensor Forward::hidden(const StageWeights& weights, const LayerView& view,
                           const at::Tensor& gathered, int64_t rows) {
  const int64_t neurons =
      (architecture_.has_experts(view.layer) ? share_.shared_ffn : share_.ffn).size();
  auto hidden = workspace_.hidden(rows, neurons);
  auto wide = workspace_.wide(rows, architecture_.is_gated ? 2 * neurons : 0);
  mlp_hidden(architecture_, weights, view, gathered, wide, hidden);
  return hidden;
}

/// Writes the MLP's part of the sum over the group: its dense neurons and its experts.
void Forward::project_mlp(const StageWeights& weights, const LayerView& view,
                          const at::Tensor& gathered, int64_t rows) {
  auto partial = workspace_.partial(rows);
  at::Tensor experts;
  if (architecture_.has_experts(view.layer)) {
    const auto routing = route(architecture_, weights, gathered);
    chosen_experts_ = routing.expert;
    experts = expert_outputs(architecture_, share_, weights, gathered, routing);
  }
  if (weights.has(Weight::kDown)) {
    const auto neurons = hidden(weights, view, gathered, rows);
    project(neurons, weights[Weight::kDown], bias_once(weights, Weight::kDownBias), partial);
    if (experts.defined()) partial.add_(experts);
  } else {
    partial.copy_(experts);
  }
}

/// Writes the heads' part of the attention output's sum over the group.
void Forward::project_heads(const StageWeights& weights, const at::Tensor& heads_out,
                            int64_t rows) {
  auto partial = workspace_.partial(rows);
  project(heads_out, weights[Weight::kAttentionOutput],
          bias_once(weights, Weight::kAttentionOutputBias), partial);
}

void Forward::serial_block(const StageWeights& weights, const LayerView& view,
                           const Sequences& sequences, at::Tensor& residual) {
  const int64_t rows = residual.size(0);
  const auto gathered = gather_input(weights, Weight::kAttentionNorm, residual);
  view.show(Site::kAttentionInput, workspace_.normed(rows));
  project_heads(weights, heads(weights, view, sequences, gathered, rows), rows);
  const auto attention = reduce(rows);
  view.show(Site::kAttentionOutput, attention);

  // At m = 1 the sum and the normed rows share a buffer: a row is read before it is overwritten.
  const bool is_plain = weights.has(Weight::kMlpNorm) && !weights.has(Weight::kAttentionPostNorm) &&
                        !weights.has(Weight::kAttentionScale) &&
                        !architecture_.norm.is_after_addition;
  at::Tensor mlp_input;
  if (is_plain) {
    auto normed = workspace_.normed(rows);
    add_and_normalise(residual, attention, norm_of(architecture_, weights, Weight::kMlpNorm),
                      normed);
    mlp_input = gather(rows);
  } else {
    add_branch(weights,
               {Weight::kAttentionNorm, Weight::kAttentionPostNorm, Weight::kAttentionScale},
               attention, residual);
    mlp_input = gather_input(weights, Weight::kMlpNorm, residual);
  }
  view.show(Site::kMlpInput, workspace_.normed(rows));
  project_mlp(weights, view, mlp_input, rows);
  const auto mlp = reduce(rows);
  view.show(Site::kMlpOutput, mlp);
  add_branch(weights, {Weight::kMlpNorm, Weight::kMlpPostNorm, Weight::kMlpScale}, mlp, residual);
}

/// Adds the reduced output of a branch, with the norm or scale that the layer puts there.
void Forward::add_branch(const StageWeights& weights, const Branch& branch, const at::Tensor& sum,
                         at::Tensor& residual) {
  if (weights.has(branch.post_norm)) {
    return add_normalised(residual, sum, norm_of(architecture_, weights, branch.post_norm));
  }
  if (weights.has(branch.scale)) {
    residual.addcmul_(sum, weights[branch.scale]);
    return;
  }
  add_rows(residual, sum);
  if (architecture_.norm.is_after_addition) {
    normalise(residual, norm_of(architecture_, weights, branch.norm), residual);
  }
}

void Forward::parallel_block(const StageWeights& weights, const LayerView& view,
                             const Sequences& sequences, at::Tensor& residual) {
  const int64_t rows = residual.size(0);
  auto gathered = gather_input(weights, Weight::kAttentionNorm, residual);
  view.show(Site::kAttentionInput, workspace_.normed(rows));
  const auto heads_out = heads(weights, view, sequences, gathered, rows);
  if (weights.has(Weight::kMlpNorm)) gathered = gather_input(weights, Weight::kMlpNorm, residual);
  view.show(Site::kMlpInput, workspace_.normed(rows));
  project_mlp(weights, view, gathered, rows);
  if (view.wants(Site::kMlpOutput) || view.wants(Site::kAttentionOutput)) {
    return add_separately(weights, view, heads_out, residual);
  }
  auto partial = workspace_.partial(rows);
  add_project(heads_out, weights[Weight::kAttentionOutput], partial);
  const auto bias = bias_once(weights, Weight::kAttentionOutputBias);
  if (bias.defined()) partial.add_(bias);
  add_rows(residual, reduce(rows));
}

/// The two sums of a parallel block one after the other, so that each can be seen.
void Forward::add_separately(const StageWeights& weights, const LayerView& view,
                             const at::Tensor& heads_out, at::Tensor& residual) {
  const int64_t rows = residual.size(0);
  const auto mlp = reduce(rows);
  view.show(Site::kMlpOutput, mlp);
  add_rows(residual, mlp);
  project_heads(weights, heads_out, rows);
  const auto attention = reduce(rows);
  view.show(Site::kAttentionOutput, attention);
  add_rows(residual, attention);
}

Sequences Forward::all_sequences(const Sequences& owned) const {
  if (!needs_lengths_) return owned;
  const auto options = at::TensorOptions().dtype(at::kLong).device(device_);
  const auto mine = at::tensor(owned.length, at::kLong).to(device_);
  auto all = at::empty({mine.size(0) * group_.size()}, options);
  const auto lengths = group_.all_gather(mine, all).to(at::kCPU);
  const auto* length = lengths.const_data_ptr<int64_t>();
  return {owned.positions, {length, length + lengths.size(0)}};
}

void Forward::layer(const StageWeights& weights, int64_t layer, const Sequences& owned,
                    at::Tensor& residual, LayerObserver* observer) {
  ensure(residual.size(0) % owned.positions == 0, "a micro-batch holds whole sequences");
  chosen_experts_ = at::Tensor();
  const auto sequences = all_sequences(owned);
  const LayerView view = {observer, layer};
  architecture_.is_parallel ? parallel_block(weights, view, sequences, residual)
                            : serial_block(weights, view, sequences, residual);
}

}  // namespace actsweep
