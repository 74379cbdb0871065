// The rows of a short convolution, which ranks cut by its channels.
#include "checkpoint/tensor_rows.h"

namespace actsweep {

TensorRows& TensorRows::short_convolution(const std::string& prefix) {
  const auto& convolution = a_.convolution;
  const int64_t channels = convolution.channels, parts = 3;
  const auto cut = Cut::kConvolved;
  for (int part = 0; part < parts; ++part) {
    const int64_t first = part * channels;
    product(prefix + "in_proj", Weight::kMixerIn, part, cut, 0, {parts * channels, a_.channels})
        .order.first = first;
    if (!convolution.has_bias) continue;
    vector(prefix + "in_proj.bias", Weight::kMixerInBias, part, cut, parts * channels).order.first =
        first;
  }
  vector(prefix + "conv.weight", Weight::kConvolution, 0, cut, channels).shape = {channels, 1,
                                                                                  convolution.taps};
  product(prefix + "out_proj", Weight::kAttentionOutput, 0, cut, 1, {a_.channels, channels});
  if (!convolution.has_bias) return *this;
  vector(prefix + "conv.bias", Weight::kConvolutionBias, 0, cut, channels);
  vector(prefix + "out_proj.bias", Weight::kAttentionOutputBias, 0, Cut::kNone, a_.channels);
  return *this;
}

}  // namespace actsweep
