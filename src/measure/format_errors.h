// What rows lose in formats of low precision (measure/number_formats.h).
//
// In: float32 rows of C channels, and which of them count, whose values are all finite. Out: sums
// by row, where the rows are. Vectorised kernels on the host, ATen's operators on any device, which
// round alike: sums agree to 1e-12.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "job/job.h"

namespace actsweep {

struct FormatErrors {
  at::Tensor error_square;  // [formats, rows] float64: Σ over channels of (x − x̂)²
  at::Tensor square;        // [rows] float64: Σ over channels of x²
};

/// Bytes of work space for one of the kTogetherValues values that ATen's operators take together.
inline constexpr int64_t kFormatBytes = 6 * 4 + 3 * 8;

/// `rows` [n, C] float32, contiguous; `counted`: rising numbers of rows.
FormatErrors format_errors(const at::Tensor& rows, const std::vector<int64_t>& counted,
                           const std::vector<NumberFormat>& formats);

namespace cpu {
FormatErrors format_errors(const at::Tensor& rows, const std::vector<int64_t>& counted,
                           const std::vector<NumberFormat>& formats);
}  // namespace cpu

namespace aten {
FormatErrors format_errors(const at::Tensor& rows, const std::vector<int64_t>& counted,
                           const std::vector<NumberFormat>& formats);
}  // namespace aten

}  // namespace actsweep
