// Largest magnitude and sum of squares of each channel over chosen rows: what a quantizer asks of
// the inputs of a linear layer.
#pragma once

#include <ATen/core/Tensor.h>

namespace actsweep {

/// `rows` [n, C] of any dtype, of which `chosen` [k] int64 count, k > 0; adds to `largest` [C]
/// float32 and `squares` [C] float64, all on one device. On a CPU in one pass over the rows, in the
/// order of `chosen` for any number of threads.
void add_channel_squares(const at::Tensor& rows, const at::Tensor& chosen, at::Tensor largest,
                         at::Tensor squares);

}  // namespace actsweep
