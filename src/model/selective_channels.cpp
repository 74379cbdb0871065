#include "model/selective_channels.h"

#include <ATen/ATen.h>

#include "kernels/product.h"
#include "kernels/selective_scan.h"
#include "kernels/short_convolution.h"

namespace actsweep {

SelectiveChannels::SelectiveChannels(const Architecture& architecture, const ModelShare& share,
                                     const Group& group, at::Device device)
    : s_(architecture.selective),
      group_(group),
      channels_(share.selective.size()),
      ops_(row_ops_of(device)) {}

/// The narrow rows, [n, step rank + 2 Ds] float32, the same on every rank.
at::Tensor SelectiveChannels::select(const StageWeights& weights, const at::Tensor& convolved,
                                     const at::TensorOptions& options) const {
  auto narrow = at::zeros({convolved.size(0), s_.narrow_width()}, options);
  if (channels_ > 0) {
    project(convolved.to(options.dtype()), weights[Weight::kSelection], {}, narrow);
  }
  narrow = narrow.to(at::kFloat);
  group_.all_reduce(narrow, Reduction::kSum);
  return narrow;
}

/// Some columns of the narrow rows, normed where the model does so: [n, width] float32.
at::Tensor SelectiveChannels::part(const StageWeights& weights, Weight norm,
                                   const at::Tensor& narrow, int64_t first, int64_t width) const {
  auto columns = narrow.narrow(1, first, width).contiguous();
  if (weights.has(norm)) {
    ops_.normalise(columns, {NormKind::kRms, weights[norm], {}, s_.epsilon, 0}, columns);
  }
  return columns;
}

at::Tensor SelectiveChannels::steps(const StageWeights& weights, const at::Tensor& narrow,
                                    const at::TensorOptions& options) const {
  const auto columns = part(weights, Weight::kStepNorm, narrow, 0, s_.step_rank);
  auto steps = at::empty({narrow.size(0), channels_}, options);
  project(columns.to(options.dtype()), weights[Weight::kStepIn], {}, steps);
  return at::softplus(steps.to(at::kFloat).add_(weights[Weight::kStepBias]));
}

void SelectiveChannels::run(const StageWeights& weights, const LayerView&,
                            const Sequences& sequences, MixerRows& rows) {
  const auto options = rows.in.options();
  auto convolved = at::empty({rows.in.size(0), 0}, options.dtype(at::kFloat));
  if (channels_ > 0) {
    project(rows.in, weights[Weight::kMixerIn], weights[Weight::kMixerInBias], rows.wide);
    convolved = convolve_causally(rows.wide.narrow(1, 0, channels_), weights[Weight::kConvolution],
                                  weights[Weight::kConvolutionBias], sequences.positions);
    ops_.activate(convolved, s_.activation);
  }
  const auto narrow = select(weights, convolved, options);
  if (channels_ == 0) return;
  const int64_t rank = s_.step_rank, states = s_.state_width;
  const auto out =
      selective_scan({convolved, steps(weights, narrow, options),
                      part(weights, Weight::kWriteNorm, narrow, rank, states),
                      part(weights, Weight::kReadNorm, narrow, rank + states, states),
                      weights[Weight::kDecay].exp(), weights[Weight::kSkip], sequences.positions});
  const auto gate = rows.wide.narrow(1, channels_, channels_).to(at::kFloat);
  rows.out.copy_(out * at::silu(gate));
}

int64_t selective_bytes(const Architecture& architecture, const ModelShare& share, int64_t rows) {
  const auto& s = architecture.selective;
  const int64_t channels = share.selective.size();
  if (s.channels == 0) return 0;
  // In float32 what is convolved, before and behind; steps, twice; the output, gates, twice; narrow
  // rows and their parts; rates and a state of one sequence for each thread, which are few.
  return 4 * rows * (7 * channels + 3 * s.narrow_width()) + 4 * 4 * channels * s.state_width;
}

}  // namespace actsweep
