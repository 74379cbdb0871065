// How often each channel's magnitude lies in each quarter octave (schema/quarter_octaves.h).
//
// In: float32 rows of C channels, and which of them count, whose values are all finite. Out:
// counts, added to what is there. A vectorised search for the bins on the host, ATen's operators on
// any device: the counts are equal.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace actsweep {

/// `rows` [n, C] float32, contiguous; `counted`: rising numbers of rows; `histogram` [C, quarter
/// octaves] int64, contiguous, on the device of the rows.
void count_quarter_octaves(const at::Tensor& rows, const std::vector<int64_t>& counted,
                           const at::Tensor& histogram);

/// Bytes of ATen's work space for one value.
inline constexpr int64_t kHistogramBytes = 4 + 4 * 4 + 3 * 8;

namespace cpu {
void count_quarter_octaves(const at::Tensor& rows, const std::vector<int64_t>& counted,
                           const at::Tensor& histogram);
}  // namespace cpu

namespace aten {
void count_quarter_octaves(const at::Tensor& rows, const std::vector<int64_t>& counted,
                           const at::Tensor& histogram);
}  // namespace aten

}  // namespace actsweep
