// Rows rounded to bfloat16, with the same bits on every machine.
#pragma once

#include <ATen/core/Tensor.h>

namespace actsweep {

/// `rows`: contiguous float32 on the host, of any shape. Out: the same shape in bfloat16, each
/// number rounded to the nearest, ties to even; a NaN stays one.
at::Tensor to_bfloat16(const at::Tensor& rows);

}  // namespace actsweep
