// A causal convolution of each channel with a few taps of its own, over the sequences of a
// micro-batch, none of which sees another.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace actsweep {

/// rows [n, W] of any dtype, whole sequences of `positions` rows; taps [W, 1, K] float32, the last
/// for the row itself; bias [W] float32 or undefined -> [n, W] float32.
at::Tensor convolve_causally(const at::Tensor& rows, const at::Tensor& taps, const at::Tensor& bias,
                             int64_t positions);

}  // namespace actsweep
