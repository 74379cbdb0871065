// Vectorised kernels for the error of a row in a format of low precision.
//
// In: a row of C finite float32 values, and the largest magnitudes of its blocks. Out: float64 sums
// that have the same bits on every instruction set, because lanes and the order of additions are
// fixed. What a format is: measure/number_formats.h.
#pragma once

#include <cstdint>
#include <span>

#include "measure/number_formats.h"

namespace actsweep::kernels {

/// The scale of each block of kBlockChannels channels to `scale` [blocks], from the bits of the
/// blocks' largest magnitudes; 0 where it is too small for float32 or E4M3.
void find_scales(NumberFormat format, std::span<const int32_t> largest_bits, float* scale);

/// Σ over channels of (x − x̂)², by the scales of its blocks; x̂ is 0 where a scale is.
double square_error(const ElementFormat& element, std::span<const float> row, const float* scale);

/// Σ over channels of x².
double square_sum(std::span<const float> row);

}  // namespace actsweep::kernels
