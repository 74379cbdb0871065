#include "measure/row_kernels.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "base/instruction_sets.h"

// This file is compiled with -O3 and with -ffp-contract=off: a fused multiply-add on one
// instruction set alone would change bits.

namespace actsweep::kernels {

namespace {

constexpr int64_t kSumLanes = 16;
constexpr int32_t kInterpolatedProbes = 8;
constexpr int kBounds = 4;                                  // of the first look for a rank
constexpr int32_t kBoundSpreads[kBounds] = {-3, -1, 1, 3};  // from the guess
constexpr int32_t kBitsOf6 = std::bit_cast<int32_t>(6.0f);

ACTSWEEP_INLINE int16_t key_of(float value) {
  return static_cast<int16_t>(magnitude_bits(value) >> 16);
}

ACTSWEEP_INLINE double square_of(float value) {
  const double x = value;
  return x * x;
}

/// Of the values c with c % 32, or c % 16, == lane.
struct ScanLanes {
  int16_t max[kKeyLanes];
  int16_t min[kKeyLanes];
  int32_t sum[kSumLanes];
  double square[kSumLanes];
};

/// Of `whole` values, a multiple of kKeyLanes. A function of its own: beside the loop over what is
/// left, gcc computes lane 0 twice.
ACTSWEEP_CLONES
void scan_blocks(const float* row, int64_t whole, int16_t* key, ScanLanes& lanes) {
  int16_t lane_max[kKeyLanes] = {}, lane_min[kKeyLanes];
  std::fill_n(lane_min, kKeyLanes, std::numeric_limits<int16_t>::max());
  int32_t lane_sum[kSumLanes] = {};
  double lane_square[kSumLanes] = {};
  for (int64_t c = 0; c < whole; c += kKeyLanes) {
    const float* from = row + c;
    int16_t* to = key + c;
    for (int64_t lane = 0; lane < kKeyLanes; ++lane) to[lane] = key_of(from[lane]);
    for (int64_t lane = 0; lane < kKeyLanes; ++lane) {
      lane_max[lane] = to[lane] > lane_max[lane] ? to[lane] : lane_max[lane];
      lane_min[lane] = to[lane] < lane_min[lane] ? to[lane] : lane_min[lane];
    }
    for (int64_t half = 0; half < kKeyLanes; half += kSumLanes) {
      for (int64_t lane = 0; lane < kSumLanes; ++lane) {
        lane_sum[lane] += key_of(from[half + lane]);
        lane_square[lane] += square_of(from[half + lane]);
      }
    }
  }
  std::memcpy(lanes.max, lane_max, sizeof lane_max);
  std::memcpy(lanes.min, lane_min, sizeof lane_min);
  std::memcpy(lanes.sum, lane_sum, sizeof lane_sum);
  std::memcpy(lanes.square, lane_square, sizeof lane_square);
}

/// How many keys are at most `bound`.
ACTSWEEP_INLINE int64_t count_up_to(const int16_t* key, int64_t length, int16_t bound) {
  int16_t lane_count[kKeyLanes] = {};
  const int64_t whole = length / kKeyLanes * kKeyLanes;
  for (int64_t i = 0; i < whole; i += kKeyLanes) {
    for (int64_t lane = 0; lane < kKeyLanes; ++lane) lane_count[lane] += key[i + lane] <= bound;
  }
  int32_t count = 0;
  for (int64_t i = whole; i < length; ++i) count += key[i] <= bound;
  for (int64_t lane = 0; lane < kKeyLanes; ++lane) count += lane_count[lane];
  return count;
}

/// How many keys are at most each of the bounds, in one look at them.
ACTSWEEP_INLINE void count_up_to_each(const int16_t* key, int64_t length, const int16_t* bound,
                                      int64_t* count) {
  int16_t lane_count[kBounds][kKeyLanes] = {};
  const int64_t whole = length / kKeyLanes * kKeyLanes;
  const int16_t bound0 = bound[0], bound1 = bound[1], bound2 = bound[2], bound3 = bound[3];
  for (int64_t i = 0; i < whole; i += kKeyLanes) {
    const int16_t* from = key + i;
    for (int64_t lane = 0; lane < kKeyLanes; ++lane) {
      lane_count[0][lane] += from[lane] <= bound0;
      lane_count[1][lane] += from[lane] <= bound1;
      lane_count[2][lane] += from[lane] <= bound2;
      lane_count[3][lane] += from[lane] <= bound3;
    }
  }
  for (int b = 0; b < kBounds; ++b) {
    int32_t sum = 0;
    for (int64_t i = whole; i < length; ++i) sum += key[i] <= bound[b];
    for (int64_t lane = 0; lane < kKeyLanes; ++lane) sum += lane_count[b][lane];
    count[b] = sum;
  }
}

/// The powers of one value that are summed.
struct RowPower {
  double sum, square, fourth;
};

ACTSWEEP_INLINE RowPower powers_of(float value) {
  const double x = value;
  const double x2 = x * x;
  return {x, x2, x2 * x2};
}

ACTSWEEP_INLINE int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

ACTSWEEP_INLINE void add_four_rows(const float* const* rows, int64_t channels,
                                   const MomentSums& sums) {
  const float *row0 = rows[0], *row1 = rows[1], *row2 = rows[2], *row3 = rows[3];
  double* __restrict sum = sums.sum;
  double* __restrict square = sums.sum_square;
  double* __restrict fourth = sums.sum_fourth;
  int32_t* __restrict max_bits = sums.max_bits;
  int32_t* __restrict above_6 = sums.count_above_6;
  for (int64_t c = 0; c < channels; ++c) {
    const RowPower a = powers_of(row0[c]), b = powers_of(row1[c]);
    const RowPower d = powers_of(row2[c]), e = powers_of(row3[c]);
    sum[c] += (a.sum + b.sum) + (d.sum + e.sum);
    square[c] += (a.square + b.square) + (d.square + e.square);
    fourth[c] += (a.fourth + b.fourth) + (d.fourth + e.fourth);
    const int32_t bits0 = magnitude_bits(row0[c]), bits1 = magnitude_bits(row1[c]);
    const int32_t bits2 = magnitude_bits(row2[c]), bits3 = magnitude_bits(row3[c]);
    max_bits[c] = larger(max_bits[c], larger(larger(bits0, bits1), larger(bits2, bits3)));
    above_6[c] +=
        (bits0 >= kBitsOf6) + (bits1 >= kBitsOf6) + (bits2 >= kBitsOf6) + (bits3 >= kBitsOf6);
  }
}

ACTSWEEP_INLINE void add_row(const float* row, int64_t channels, const MomentSums& sums) {
  double* __restrict sum = sums.sum;
  double* __restrict square = sums.sum_square;
  double* __restrict fourth = sums.sum_fourth;
  int32_t* __restrict max_bits = sums.max_bits;
  int32_t* __restrict above_6 = sums.count_above_6;
  for (int64_t c = 0; c < channels; ++c) {
    const RowPower a = powers_of(row[c]);
    sum[c] += a.sum;
    square[c] += a.square;
    fourth[c] += a.fourth;
    const int32_t bits = magnitude_bits(row[c]);
    max_bits[c] = larger(max_bits[c], bits);
    above_6[c] += bits >= kBitsOf6;
  }
}

}  // namespace

ACTSWEEP_CLONES
KeyScan scan_keys(std::span<const float> row, int16_t* key) {
  const int64_t channels = static_cast<int64_t>(row.size());
  const int64_t whole = channels / kKeyLanes * kKeyLanes;
  ScanLanes lanes;
  scan_blocks(row.data(), whole, key, lanes);
  for (int64_t c = whole; c < channels; ++c) {
    const int64_t lane = c - whole;
    key[c] = key_of(row[c]);
    lanes.sum[lane % kSumLanes] += key[c];
    lanes.max[lane] = std::max(lanes.max[lane], key[c]);
    lanes.min[lane] = std::min(lanes.min[lane], key[c]);
    lanes.square[lane % kSumLanes] += square_of(row[c]);
  }
  KeyScan scan;
  scan.smallest = lanes.min[0];
  for (const int16_t least : lanes.min)
    scan.smallest = least < scan.smallest ? least : scan.smallest;
  for (const int16_t most : lanes.max) scan.largest = most > scan.largest ? most : scan.largest;
  for (const int32_t sum : lanes.sum) scan.sum += sum;
  for (const double square : lanes.square) scan.sum_square += square;
  std::memcpy(scan.lane_max, lanes.max, sizeof lanes.max);
  return scan;
}

ACTSWEEP_CLONES
int16_t key_reached_by(const KeyScan& scan, int64_t count) {
  constexpr int64_t kPairs = kKeyLanes / 2;
  if (count > kPairs) return 0;
  int16_t largest[kPairs], reached_by[kPairs] = {};
  for (int64_t pair = 0; pair < kPairs; ++pair) {
    const int16_t a = scan.lane_max[pair], b = scan.lane_max[kPairs + pair];
    largest[pair] = a > b ? a : b;
  }
  for (const int16_t other : largest) {
    for (int64_t pair = 0; pair < kPairs; ++pair) reached_by[pair] += other >= largest[pair];
  }
  int16_t bound = 0;
  for (int64_t pair = 0; pair < kPairs; ++pair) {
    const int16_t key = reached_by[pair] >= count ? largest[pair] : int16_t{0};
    bound = key > bound ? key : bound;
  }
  return bound;
}

ACTSWEEP_CLONES
KeyBracket bracket_rank(std::span<const int16_t> key, int64_t rank, int16_t guess, int16_t spread) {
  // Invariant: count_up_to(low) = up_to_low <= rank < up_to_high = count_up_to(high).
  int32_t low = -1, high = kNonfiniteKey - 1;
  const int64_t length = static_cast<int64_t>(key.size());
  int64_t up_to_low = 0, up_to_high = length;
  int16_t bound[kBounds];
  int64_t count[kBounds];
  for (int b = 0; b < kBounds; ++b) {
    bound[b] = static_cast<int16_t>(std::clamp(guess + kBoundSpreads[b] * spread, low, high));
  }
  count_up_to_each(key.data(), length, bound, count);
  for (int b = 0; b < kBounds; ++b) {
    if (count[b] <= rank) {
      low = bound[b];
      up_to_low = count[b];
    } else {
      high = bound[b];
      up_to_high = count[b];
      break;
    }
  }
  bool moved_low = count[0] <= rank, moved_high = count[kBounds - 1] > rank;
  int32_t step = kBoundSpreads[kBounds - 1] * spread;
  for (int32_t probes = 0; high - low > 1 && up_to_high - up_to_low > kFewValues; ++probes) {
    int32_t probe;
    if (!moved_low || !moved_high) {
      step *= 4;
      probe = std::clamp(moved_low ? low + step : high - step, low + 1, high - 1);
    } else if (probes < kInterpolatedProbes) {
      probe = low + static_cast<int32_t>((rank + 1 - up_to_low) * (high - low) /
                                         (up_to_high - up_to_low));
      probe = std::clamp(probe, low + 1, high - 1);
    } else {
      probe = low + (high - low) / 2;
    }
    const int64_t up_to_probe = count_up_to(key.data(), length, static_cast<int16_t>(probe));
    if (up_to_probe > rank) {
      high = probe;
      up_to_high = up_to_probe;
      moved_high = true;
    } else {
      low = probe;
      up_to_low = up_to_probe;
      moved_low = true;
    }
  }
  return {static_cast<int16_t>(low), static_cast<int16_t>(high), up_to_low};
}

ACTSWEEP_CLONES
int64_t add_up(std::span<const uint32_t> counts) {
  int64_t sum = 0;
  for (const uint32_t count : counts) sum += count;
  return sum;
}

ACTSWEEP_CLONES
void add_moments(std::span<const float* const> rows, int64_t channels, const MomentSums& sums) {
  size_t row = 0;
  for (; row + 4 <= rows.size(); row += 4) add_four_rows(rows.data() + row, channels, sums);
  for (; row < rows.size(); ++row) add_row(rows[row], channels, sums);
}

}  // namespace actsweep::kernels
