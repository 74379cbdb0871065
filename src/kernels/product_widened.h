// Products of two-byte floats by way of float32, piece by piece: some rows and some columns of the
// output are widened, multiplied and rounded while they are in the cache.
//
// Each sum is float32, its addend included, and rounded once, as where a machine has instructions
// for the dtype. The pieces depend on the shapes and the number of threads alone; each is one
// thread's.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace actsweep {

/// out [n, width] = in [n, k] times weight [width, k] transposed, plus an addend where there is
/// one: [width], or [n, width], which may be `out`. All are of one dtype.
void project_widened(const at::Tensor& in, const at::Tensor& weight, const at::Tensor& addend,
                     const at::Tensor& out);

/// Bytes of float32 that each thread keeps for its pieces.
inline constexpr int64_t kWidenedBytes = 3 * (4ll << 20);

}  // namespace actsweep
