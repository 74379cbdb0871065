// Cosines of the residual stream's rows: with the first row of their sequence, and with themselves
// before the layer.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace actsweep {

/// cos(a, b) = a · b / (‖a‖ ‖b‖), with sums in float64; NaN where a norm is 0 or not finite.
struct RowCosines {
  at::Tensor first;     // [n] float32
  at::Tensor previous;  // [n] float32
};

/// `rows` [n, C] float32, contiguous, sequences of `positions` rows each; `before` the same rows
/// before the layer, undefined where there are none: then `previous` is NaN. On a CPU in one pass
/// over the rows, with the same bits for any number of threads.
RowCosines row_cosines(const at::Tensor& rows, const at::Tensor& before, int64_t positions);

namespace by_operators {
/// The same by operators of ATen, for any device.
RowCosines row_cosines(const at::Tensor& rows, const at::Tensor& before, int64_t positions);
}  // namespace by_operators

}  // namespace actsweep
