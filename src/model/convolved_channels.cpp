#include "model/convolved_channels.h"

#include <ATen/ATen.h>

#include "kernels/product.h"
#include "kernels/short_convolution.h"

namespace actsweep {

void ConvolvedChannels::run(const StageWeights& weights, const LayerView&,
                            const Sequences& sequences, MixerRows& rows) {
  if (channels_ == 0) return;
  project(rows.in, weights[Weight::kMixerIn], weights[Weight::kMixerInBias], rows.wide);
  const auto part = [&](int64_t number) {
    return rows.wide.narrow(1, number * channels_, channels_);
  };
  const auto gated = part(0).to(at::kFloat) * part(2);
  const auto convolved = convolve_causally(gated, weights[Weight::kConvolution],
                                           weights[Weight::kConvolutionBias], sequences.positions);
  rows.out.copy_(convolved.mul_(part(1)));
}

}  // namespace actsweep
