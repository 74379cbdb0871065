#include "model/forward.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "kernels/product.h"
#include "model/mlp.h"
#include "model/norms.h"

namespace actsweep {

/// What a layer may put around a branch: each where its tensor rows have it.
struct Forward::Branch {
  Weight norm;
  Weight post_norm;
  Weight scale;
  double factor;
};

Forward::Forward(const Architecture& architecture, const Group& group, const Options& options)
    : architecture_(architecture),
      group_(group),
      share_(share_of(architecture, group.size(), group.rank())),
      device_(options.device),
      ops_(row_ops_of(options.device)),
      workspace_(architecture, share_, {options.owned_rows, group.size(), options.dtype},
                 options.device),
      mixers_(architecture_, share_, group, {options.positions, options.grid, options.device}) {
  needs_lengths_ = architecture_.leaves_padding_open();
  for (const auto& rope : architecture_.ropes) needs_lengths_ |= rope.follows_length();
}

at::Tensor Forward::gather(int64_t rows) {
  auto gathered = workspace_.gathered(rows);
  return group_.all_gather(workspace_.normed(rows), gathered);
}

/// Writes the input of a branch: normed where the layer has that norm before the branch.
void Forward::write_input(const StageWeights& weights, Weight norm, const at::Tensor& residual) {
  auto normed = workspace_.normed(residual.size(0));
  if (weights.has(norm) && !architecture_.norm.is_after_addition) {
    ops_.normalise(residual, norm_of(architecture_, weights, norm), normed);
  } else {
    normed.copy_(residual);
  }
}

at::Tensor Forward::show_and_gather(const LayerView& view, Site site, int64_t rows) {
  view.show(site, workspace_.normed(rows));
  return gather(rows);
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

/// A mixer's outputs, `behind` so many elements of a row that another's take.
at::Tensor Forward::mix(Mixer& mixer, const StageWeights& weights, const LayerView& view,
                        const Sequences& sequences, const at::Tensor& gathered, int64_t behind) {
  const int64_t rows = gathered.size(0) / group_.size();
  MixerRows mixed = {gathered, workspace_.wide(rows, mixer.wide_width()),
                     workspace_.heads(rows, mixer.out_width(), behind)};
  mixer.run(weights, view, sequences, mixed);
  return mixed.out;
}

/// Writes the heads' part of the sum over the group that a mixer gives.
void Forward::project_heads(const StageWeights& weights, const OutputWeights& output,
                            const at::Tensor& heads_out, int64_t rows) {
  auto partial = workspace_.partial(rows);
  project(heads_out, weights[output.product], bias_once(weights, output.bias), partial);
}

at::Tensor Forward::hidden(const StageWeights& weights, const LayerView& view,
                           const at::Tensor& gathered, int64_t rows) {
  const int64_t neurons = dense_neurons(share_, architecture_, view.layer).size();
  auto hidden = workspace_.hidden(rows, neurons);
  auto wide = workspace_.wide(rows, architecture_.is_gated ? 2 * neurons : 0);
  mlp_hidden(architecture_, weights, view, gathered, wide, hidden);
  return hidden;
}

void Forward::choose_experts(const StageWeights& weights, const LayerView& view,
                             const at::Tensor& gathered, ExpertRows& experts) const {
  const int64_t count = architecture_.experts.count;
  at::Tensor is_barred;
  if (view.bars_experts()) {
    is_barred = at::zeros({gathered.size(0), count}, gathered.options().dtype(at::kLong));
    view.observer->bar_experts(view.layer, is_barred);
    is_barred = is_barred.to(at::kBool);
  }
  auto& routing = experts.routing = route(architecture_, weights, gathered, is_barred);
  if (view.silences_experts()) {
    view.observer->silence_experts(view.layer, routing.expert, routing.weight);
  }
  experts.order = order_by_expert(experts.routing, count);
}

/// Keeps the normed output of the dense MLP, and routes the stream by norms of its own.
void Forward::part_experts(const StageWeights& weights, const LayerView& view,
                           const at::Tensor& residual, ExpertRows& experts) {
  const int64_t rows = residual.size(0);
  experts.beside.zero_();
  ops_.add_normalised(experts.beside, reduce(rows),
                      norm_of(architecture_, weights, Weight::kDensePostNorm));
  write_input(weights, Weight::kRouterNorm, residual);
  choose_experts(weights, view, gather(rows), experts);
  write_input(weights, Weight::kExpertNorm, residual);
  experts.input.copy_(gather(rows));
  workspace_.partial(rows).zero_();
}

/// Writes the dense MLP's part of the sum over the group; routes what experts will add.
void Forward::project_mlp(const StageWeights& weights, const LayerView& view,
                          const at::Tensor& gathered, int64_t rows, ExpertRows& experts) {
  if (architecture_.has_experts(view.layer) && !architecture_.experts.are_normed_apart) {
    choose_experts(weights, view, gathered, experts);
    experts.input.copy_(gathered);
  }
  auto partial = workspace_.partial(rows);
  if (!weights.has(Weight::kDown)) {
    partial.zero_();
    return;
  }
  const auto neurons = hidden(weights, view, gathered, rows);
  project(neurons, weights[Weight::kDown], bias_once(weights, Weight::kDownBias), partial);
}

/// The reduced output of the layer's mixer; undefined where it has none. That of a mixer beside it
/// is added here.
at::Tensor Forward::mixer_output(const StageWeights& weights, const LayerView& view,
                                 const Sequences& sequences, at::Tensor& residual) {
  if (!architecture_.has_mixer(view.layer)) return {};
  const int64_t rows = residual.size(0);
  write_input(weights, Weight::kAttentionNorm, residual);
  const auto gathered = show_and_gather(view, Site::kAttentionInput, rows);
  auto& mixer = mixers_.of(view.layer);
  const auto heads_out = mix(mixer, weights, view, sequences, gathered);
  add_beside(weights, view, sequences, gathered, residual);
  project_heads(weights, mixer.output(), heads_out, rows);
  const auto mixed = reduce(rows);
  view.show(Site::kAttentionOutput, mixed);
  return mixed;
}

/// Adds to the residual stream what the mixer beside the layer's attention gives. What attention
/// has made of the gathered rows must be there: here they are overwritten.
void Forward::add_beside(const StageWeights& weights, const LayerView& view,
                         const Sequences& sequences, const at::Tensor& gathered,
                         at::Tensor& residual) {
  auto* mixer = mixers_.beside(view.layer);
  if (mixer == nullptr) return;
  const int64_t rows = residual.size(0), behind = mixers_.of(view.layer).out_width();
  const auto out = mix(*mixer, weights, view, sequences, gathered, behind);
  project_heads(weights, mixer->output(), out, rows);
  const auto sum = reduce(rows);
  view.show(Site::kStateOutput, sum);
  add_scaled(sum, architecture_.states.output_scale, residual);
}

void Forward::add_mixed(const StageWeights& weights, const at::Tensor& mixed,
                        at::Tensor& residual) {
  if (!mixed.defined()) return;
  add_branch(weights,
             {Weight::kAttentionNorm, Weight::kAttentionPostNorm, Weight::kAttentionScale,
              architecture_.mixer_scale},
             mixed, residual);
}

/// Adds the mixer's output to the residual stream, and writes what the MLP reads of it.
void Forward::write_mlp_input(const StageWeights& weights, const at::Tensor& mixed,
                              at::Tensor& residual) {
  // At m = 1 the sum and the normed rows share a buffer: a row is read before it is overwritten.
  const bool is_plain = mixed.defined() && weights.has(Weight::kMlpNorm) &&
                        !weights.has(Weight::kAttentionPostNorm) &&
                        !weights.has(Weight::kAttentionScale) &&
                        !architecture_.norm.is_after_addition && architecture_.mixer_scale == 1;
  if (is_plain) {
    auto normed = workspace_.normed(residual.size(0));
    ops_.add_and_normalise(residual, mixed, norm_of(architecture_, weights, Weight::kMlpNorm),
                           normed);
    return;
  }
  add_mixed(weights, mixed, residual);
  write_input(weights, Weight::kMlpNorm, residual);
}

void Forward::serial_block(const StageWeights& weights, const LayerView& view,
                           const Sequences& sequences, at::Tensor& residual, ExpertRows& experts) {
  const auto mixed = mixer_output(weights, view, sequences, residual);
  if (!architecture_.has_mlp(view.layer)) return add_mixed(weights, mixed, residual);
  const int64_t rows = residual.size(0);
  write_mlp_input(weights, mixed, residual);
  const auto gathered = show_and_gather(view, Site::kMlpInput, rows);
  project_mlp(weights, view, gathered, rows, experts);
}

void Forward::add_scaled(const at::Tensor& sum, double scale, at::Tensor& residual) const {
  if (scale == 1) return ops_.add_rows(residual, sum);
  residual.add_(sum, scale);
}

/// Adds the reduced output of a branch, with the norm or scale that the layer puts there.
void Forward::add_branch(const StageWeights& weights, const Branch& branch, const at::Tensor& sum,
                         at::Tensor& residual) {
  if (weights.has(branch.post_norm)) {
    return ops_.add_normalised(residual, sum, norm_of(architecture_, weights, branch.post_norm));
  }
  if (weights.has(branch.scale)) {
    residual.addcmul_(sum, weights[branch.scale]);
    return;
  }
  add_scaled(sum, branch.factor, residual);
  if (architecture_.norm.is_after_addition) {
    ops_.normalise(residual, norm_of(architecture_, weights, branch.norm), residual);
  }
}

/// Attention and MLP leave one sum, or two where one of them is looked at. They read one input,
/// but where a norm of the MLP's own or a change parts it.
void Forward::parallel_block(const StageWeights& weights, const LayerView& view,
                             const Sequences& sequences, at::Tensor& residual,
                             ExpertRows& experts) {
  const int64_t rows = residual.size(0);
  const bool is_apart =
      view.wants(Site::kAttentionOutput) || view.wants(Site::kMlpOutput) || view.wants_between();
  write_input(weights, Weight::kAttentionNorm, residual);
  auto gathered = show_and_gather(view, Site::kAttentionInput, rows);
  auto& mixer = mixers_.of(view.layer);
  const auto heads_out = mix(mixer, weights, view, sequences, gathered);
  at::Tensor attention;
  if (is_apart) {
    project_heads(weights, mixer.output(), heads_out, rows);
    attention = reduce(rows).clone();
    view.show(Site::kAttentionOutput, attention);
  }
  const auto norm = weights.has(Weight::kMlpNorm) ? Weight::kMlpNorm : Weight::kAttentionNorm;
  const bool is_changed = view.changes(Site::kAttentionInput) || view.changes(Site::kMlpInput);
  if (is_apart || is_changed || norm == Weight::kMlpNorm) {
    write_input(weights, norm, residual);
    gathered = show_and_gather(view, Site::kMlpInput, rows);
  } else {
    view.show(Site::kMlpInput, workspace_.normed(rows));
  }
  project_mlp(weights, view, gathered, rows, experts);
  if (is_apart) return add_scaled(attention, architecture_.mixer_scale, residual);
  auto partial = workspace_.partial(rows);
  add_project(heads_out, weights[mixer.output().product], partial);
  const auto bias = bias_once(weights, mixer.output().bias);
  if (bias.defined()) partial.add_(bias);
}

/// Adds the sum that a layer leaves in its partial outputs: the MLP's, and in a parallel block that
/// nobody looks into the attention's too. Experts that are normed apart join the dense MLP here.
void Forward::end_layer(const StageWeights& weights, const LayerView& view, at::Tensor& residual,
                        ExpertRows& experts) {
  auto sum = reduce(residual.size(0));
  if (weights.has(Weight::kExpertPostNorm)) {
    ops_.add_normalised(experts.beside, sum,
                        norm_of(architecture_, weights, Weight::kExpertPostNorm));
    sum = experts.beside;
  }
  view.show(Site::kMlpOutput, sum);
  if (architecture_.is_parallel) return add_scaled(sum, architecture_.mlp_scale, residual);
  add_branch(weights,
             {Weight::kMlpNorm, Weight::kMlpPostNorm, Weight::kMlpScale, architecture_.mlp_scale},
             sum, residual);
}

/// Adds what the stream makes of the layer's own inputs: normed W₂ (activation(W₁ x) · inputs).
void Forward::add_layer_inputs(const StageWeights& weights, const at::Tensor& inputs,
                               at::Tensor& residual) const {
  auto gated = at::empty_like(inputs);
  project(residual.to(inputs.scalar_type()), weights[Weight::kLayerGate], {}, gated);
  ops_.activate(gated, architecture_.activation);
  gated.mul_(inputs);
  auto sum = at::empty(residual.sizes(), inputs.options());
  project(gated, weights[Weight::kLayerProjection], {}, sum);
  ops_.add_normalised(residual, sum,
                      norm_of(architecture_, weights, Weight::kLayerProjectionNorm));
}

std::vector<int64_t> Forward::of_all(const std::vector<int64_t>& owned) const {
  const auto options = at::TensorOptions().dtype(at::kLong).device(device_);
  const auto mine = at::tensor(owned, at::kLong).to(device_);
  auto all = at::empty({group_.size() * mine.size(0)}, options);
  const auto gathered = group_.all_gather(mine, all).to(at::kCPU);
  const auto* first = gathered.const_data_ptr<int64_t>();
  return {first, first + gathered.size(0)};
}

Sequences Forward::all_sequences(const Sequences& owned) const {
  Sequences all = owned;
  if (needs_lengths_) all.length = of_all(owned.length);
  if (!owned.key_ends.empty()) all.key_ends = of_all(owned.key_ends);
  return all;
}

void Forward::stage(const Stage& stage, const StageWeights& weights, const Sequences& owned,
                    at::Tensor& residual, ExpertRows& experts, LayerObserver* observer,
                    const at::Tensor& layer_inputs) {
  ensure(residual.size(0) % owned.positions == 0, "a micro-batch holds whole sequences");
  auto partial = workspace_.partial(residual.size(0));
  const bool has_experts = architecture_.has_experts(stage.layer);
  const LayerView view = {observer, stage.layer};
  if (stage.is_first) {
    const auto sequences = all_sequences(owned);
    architecture_.is_parallel ? parallel_block(weights, view, sequences, residual, experts)
                              : serial_block(weights, view, sequences, residual, experts);
    if (weights.has(Weight::kExpertNorm)) part_experts(weights, view, residual, experts);
    if (has_experts) experts.sum.copy_(partial);
  }
  if (has_experts) add_expert_outputs(architecture_, stage.experts, weights, view, experts);
  if (stage.is_last) {
    if (view.wants_between()) observer->see_between(residual);
    if (has_experts) partial.copy_(experts.sum);
    if (architecture_.has_mlp(stage.layer)) end_layer(weights, view, residual, experts);
    if (layer_inputs.defined()) add_layer_inputs(weights, layer_inputs, residual);
    if (weights.has(Weight::kLayerScale)) residual.mul_(weights[Weight::kLayerScale]);
  }
}

}  // namespace actsweep
