// What a quantiser asks of rows: the signed extrema of each channel and the row of the largest
// magnitude, how heavy the tails of each row are, and how large the largest magnitudes of blocks of
// neighbouring channels.
//
// In: float32 rows of C channels, and which of them count, whose values are all finite. Out:
// tensors where the rows are. Vectorised kernels on the host, ATen's operators on any device:
// selections and counts are equal, sums to 1e-12.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace actsweep {

struct QuantiserSummary {
  at::Tensor lowest;       // [C] float32 of the rows; infinity without any
  at::Tensor highest;      // [C] float32; minus infinity without any
  at::Tensor largest_row;  // [C] int32: the first row with the largest magnitude; -1 without any
  at::Tensor kurtosis;     // [rows] float64, as of kernels::excess_kurtosis
  // [magnitude bins] int64: blocks of 16 and of 32 channels by their largest magnitude.
  at::Tensor block16_histogram;
  at::Tensor block32_histogram;
};

/// Values of rows that ATen's operators take together, and the bytes of work space for one.
inline constexpr int64_t kTogetherValues = 1 << 22;
inline constexpr int64_t kTogetherBytes = 3 * 4 + 4 * 8;

/// `rows` [n, C] float32, contiguous; `counted`: rising numbers of rows.
QuantiserSummary summarise_rows(const at::Tensor& rows, const std::vector<int64_t>& counted);

namespace cpu {
QuantiserSummary summarise_rows(const at::Tensor& rows, const std::vector<int64_t>& counted);
}  // namespace cpu

namespace aten {
QuantiserSummary summarise_rows(const at::Tensor& rows, const std::vector<int64_t>& counted);
}  // namespace aten

}  // namespace actsweep
