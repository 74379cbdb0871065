#include "measure/quantiser_kernels.h"

#include <algorithm>
#include <limits>

#include "base/instruction_sets.h"
#include "measure/row_kernels.h"
#include "schema/quarter_octaves.h"

// This file is compiled with -O3 and with -ffp-contract=off: a fused multiply-add on one
// instruction set alone would change bits.

namespace actsweep::kernels {

namespace {

constexpr int64_t kLanes = 16;

/// Sums of the values c with c % kLanes == lane.
struct Lanes {
  double second[kLanes] = {};
  double fourth[kLanes] = {};
};

ACTSWEEP_INLINE double sum_of(const double* lanes) {
  double sum = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

ACTSWEEP_INLINE int64_t whole_of(std::span<const float> row) {
  return static_cast<int64_t>(row.size()) / kLanes * kLanes;
}

/// Of equal values exactly that value: a sum of fewer than 2^29 of them needs no rounding.
ACTSWEEP_CLONES
double mean_of(std::span<const float> row) {
  double lanes[kLanes] = {};
  const int64_t whole = whole_of(row), channels = static_cast<int64_t>(row.size());
  for (int64_t c = 0; c < whole; c += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += row[c + lane];
  }
  for (int64_t c = whole; c < channels; ++c) lanes[c - whole] += row[c];
  return sum_of(lanes) / static_cast<double>(channels);
}

/// A function of its own, as scan_blocks of row_kernels.cpp.
ACTSWEEP_CLONES
void add_powers(const float* row, int64_t whole, double mean, Lanes& sums) {
  double second[kLanes] = {}, fourth[kLanes] = {};
  for (int64_t c = 0; c < whole; c += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const double off = row[c + lane] - mean, square = off * off;
      second[lane] += square;
      fourth[lane] += square * square;
    }
  }
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    sums.second[lane] = second[lane];
    sums.fourth[lane] = fourth[lane];
  }
}

}  // namespace

double excess_kurtosis(std::span<const float> row) {
  const int64_t whole = whole_of(row), channels = static_cast<int64_t>(row.size());
  const double mean = mean_of(row);
  Lanes sums;
  add_powers(row.data(), whole, mean, sums);
  for (int64_t c = whole; c < channels; ++c) {
    const double off = row[c] - mean, square = off * off;
    sums.second[c - whole] += square;
    sums.fourth[c - whole] += square * square;
  }
  const double second = sum_of(sums.second), fourth = sum_of(sums.fourth);
  if (second == 0) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(channels) * fourth / (second * second) - 3;
}

ACTSWEEP_CLONES
void widen_extrema(std::span<const float> row, int32_t number, const Extrema& extrema) {
  const int64_t channels = static_cast<int64_t>(row.size());
  const float* values = row.data();
  float* __restrict lowest = extrema.lowest;
  float* __restrict highest = extrema.highest;
  int32_t* __restrict largest_row = extrema.largest_row;
  for (int64_t c = 0; c < channels; ++c) {
    const float x = values[c], low = lowest[c], high = highest[c];
    const bool is_larger = magnitude_of(x, x) > magnitude_of(low, high);
    largest_row[c] = is_larger ? number : largest_row[c];
    lowest[c] = x < low ? x : low;
    highest[c] = x > high ? x : high;
  }
}

ACTSWEEP_CLONES
void find_quarter_octaves(std::span<const float> values, int32_t* __restrict bins) {
  const int64_t count = static_cast<int64_t>(values.size());
  const float* value = values.data();
  for (int64_t i = 0; i < count; ++i) bins[i] = quarter_octave_of(magnitude_bits(value[i]));
}

ACTSWEEP_CLONES
void find_block_maxima(std::span<const float> row, int32_t* __restrict bits) {
  const int64_t channels = static_cast<int64_t>(row.size());
  const int64_t whole = channels / kBlockChannels;
  const float* values = row.data();
  for (int64_t block = 0; block < whole; ++block) {
    int32_t largest = 0;
    for (int64_t c = 0; c < kBlockChannels; ++c) {
      const int32_t magnitude = magnitude_bits(values[block * kBlockChannels + c]);
      largest = magnitude > largest ? magnitude : largest;
    }
    bits[block] = largest;
  }
  if (whole * kBlockChannels == channels) return;
  bits[whole] = 0;
  for (int64_t c = whole * kBlockChannels; c < channels; ++c) {
    bits[whole] = std::max(bits[whole], magnitude_bits(values[c]));
  }
}

}  // namespace actsweep::kernels
