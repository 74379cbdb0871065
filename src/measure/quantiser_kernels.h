// Vectorised kernels over one row of float32 activations, for what a quantiser asks of it.
//
// In: a row of C finite values. Out: float64 sums that have the same bits on every instruction set,
// because lanes and the order of additions are fixed, and selections.
#pragma once

#include <cstdint>
#include <span>

namespace actsweep::kernels {

/// Excess kurtosis of the row's values: C Σ(x − mean)⁴ / (Σ(x − mean)²)² − 3. NaN where they are
/// equal.
double excess_kurtosis(std::span<const float> row);

/// Extrema of rows by channel. Of no row: infinity, minus infinity, and any place.
struct Extrema {
  float* lowest = nullptr;         // [C]
  float* highest = nullptr;        // [C]
  int32_t* largest_row = nullptr;  // [C] number of the first row with the largest magnitude
};

/// The largest magnitude of values that lie between the two.
inline float magnitude_of(float lowest, float highest) {
  return -lowest > highest ? -lowest : highest;
}

/// Lowers and raises the extrema to the values of the row, which has this number.
void widen_extrema(std::span<const float> row, int32_t number, const Extrema& extrema);

/// quarter_octave_of (schema/quarter_octaves.h) each value, to `bins` of their number.
void find_quarter_octaves(std::span<const float> values, int32_t* bins);

/// Neighbouring channels that share a scale in NVFP4, and half of those that do in the MX formats.
inline constexpr int64_t kBlockChannels = 16;

inline int64_t block_count(int64_t channels, int64_t size = kBlockChannels) {
  return (channels + size - 1) / size;
}

/// The bits of the largest magnitude of each block of kBlockChannels channels, the last of which
/// may have fewer, to `bits` [block_count(C)].
void find_block_maxima(std::span<const float> row, int32_t* bits);

}  // namespace actsweep::kernels
