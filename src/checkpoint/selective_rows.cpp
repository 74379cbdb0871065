// The rows of a selective state space, which ranks cut by its channels.
#include "checkpoint/tensor_rows.h"

namespace actsweep {

TensorRows& TensorRows::selective_space(const std::string& prefix) {
  const auto& s = a_.selective;
  const auto cut = Cut::kSelective;
  for (int part = 0; part < 2; ++part) {
    const int64_t first = part * s.channels, length = 2 * s.channels;
    product(prefix + "in_proj", Weight::kMixerIn, part, cut, 0, {length, a_.channels}).order.first =
        first;
    if (!s.has_bias) continue;
    vector(prefix + "in_proj.bias", Weight::kMixerInBias, part, cut, length).order.first = first;
  }
  vector(prefix + "conv1d.weight", Weight::kConvolution, 0, cut, s.channels).shape = {s.channels, 1,
                                                                                      s.taps};
  if (s.has_convolution_bias) {
    vector(prefix + "conv1d.bias", Weight::kConvolutionBias, 0, cut, s.channels);
  }
  product(prefix + "x_proj", Weight::kSelection, 0, cut, 1, {s.narrow_width(), s.channels});
  product(prefix + "dt_proj", Weight::kStepIn, 0, cut, 0, {s.channels, s.step_rank});
  vector(prefix + "dt_proj.bias", Weight::kStepBias, 0, cut, s.channels);
  vector(prefix + "A_log", Weight::kDecay, 0, cut, s.channels).shape = {s.channels, s.state_width};
  vector(prefix + "D", Weight::kSkip, 0, cut, s.channels);
  product(prefix + "out_proj", Weight::kAttentionOutput, 0, cut, 1, {a_.channels, s.channels});
  if (s.has_bias) {
    vector(prefix + "out_proj.bias", Weight::kAttentionOutputBias, 0, Cut::kNone, a_.channels);
  }
  return *this;
}

TensorRows& TensorRows::selective_norms(const std::string& prefix, bool has_weights) {
  const auto& s = a_.selective;
  const auto add = [&](const std::string& name, Weight weight, int64_t width) {
    auto& row = vector(prefix + name + ".weight", weight, 0, Cut::kNone, width);
    if (!has_weights) row.constant = 1;
  };
  add("dt_layernorm", Weight::kStepNorm, s.step_rank);
  add("b_layernorm", Weight::kWriteNorm, s.state_width);
  add("c_layernorm", Weight::kReadNorm, s.state_width);
  return *this;
}

}  // namespace actsweep
