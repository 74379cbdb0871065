#include "stats/row_kernels.h"

#include <algorithm>
#include <bit>
#include <cstring>

// This file is compiled with -O3 (its loops are written for the auto-vectoriser: gcc lowers vector
// types before it clones functions) and -ffp-contract=off (a fused multiply-add on one instruction
// set alone would change bits).
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define ACTSWEEP_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ACTSWEEP_CLONES
#endif

namespace actsweep::kernels {

namespace {

constexpr int64_t kSumLanes = 16;
constexpr int32_t kMagnitudeMask = 0x7fffffff;
constexpr int32_t kInterpolatedProbes = 8;
constexpr int32_t kBitsOf6 = std::bit_cast<int32_t>(6.0f);

[[gnu::always_inline]] inline int32_t magnitude_bits(float value) {
  return std::bit_cast<int32_t>(value) & kMagnitudeMask;
}

[[gnu::always_inline]] inline double sum_square(const float* row, int64_t channels) {
  double lane_sum[kSumLanes] = {};
  const int64_t whole = channels / kSumLanes * kSumLanes;
  for (int64_t c = 0; c < whole; c += kSumLanes) {
    for (int64_t lane = 0; lane < kSumLanes; ++lane) {
      const double x = row[c + lane];
      lane_sum[lane] += x * x;
    }
  }
  for (int64_t c = whole; c < channels; ++c) {
    const double x = row[c];
    lane_sum[c - whole] += x * x;
  }
  double total = 0;
  for (int64_t lane = 0; lane < kSumLanes; ++lane) total += lane_sum[lane];
  return total;
}

/// How many keys are at most `bound`.
[[gnu::always_inline]] inline int64_t count_up_to(const int16_t* key, int64_t length,
                                                  int16_t bound) {
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

/// Calls `visit(i)` for every mark that is 1, in rising order. Marks are few: 32 are skipped at a
/// time.
template <typename Visit>
[[gnu::always_inline]] inline void visit_marks(const uint8_t* mark, int64_t length, Visit visit) {
  constexpr int64_t kGroup = 32;
  const int64_t whole = length / kGroup * kGroup;
  for (int64_t first = 0; first < whole; first += kGroup) {
    uint64_t words[kGroup / 8];
    std::memcpy(words, mark + first, sizeof words);
    if ((words[0] | words[1] | words[2] | words[3]) == 0) continue;
    for (int64_t word = 0; word < kGroup / 8; ++word) {
      for (uint64_t left = words[word]; left != 0; left &= left - 1) {
        visit(first + 8 * word + std::countr_zero(left) / 8);
      }
    }
  }
  for (int64_t i = whole; i < length; ++i) {
    if (mark[i]) visit(i);
  }
}

/// The powers of one value that are summed.
struct RowPower {
  double sum, square, fourth;
};

[[gnu::always_inline]] inline RowPower powers_of(float value) {
  const double x = value;
  const double x2 = x * x;
  return {x, x2, x2 * x2};
}

[[gnu::always_inline]] inline int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

[[gnu::always_inline]] inline void add_four_rows(const float* const* rows, int64_t channels,
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

[[gnu::always_inline]] inline void add_row(const float* row, int64_t channels,
                                           const MomentSums& sums) {
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
  const float* from = row.data();
  for (int64_t c = 0; c < channels; ++c) {
    key[c] = static_cast<int16_t>(magnitude_bits(from[c]) >> 16);
  }
  int16_t lane_max[kKeyLanes] = {};
  const int64_t whole = channels / kKeyLanes * kKeyLanes;
  for (int64_t c = 0; c < whole; c += kKeyLanes) {
    for (int64_t lane = 0; lane < kKeyLanes; ++lane) {
      lane_max[lane] = key[c + lane] > lane_max[lane] ? key[c + lane] : lane_max[lane];
    }
  }
  for (int64_t c = whole; c < channels; ++c) {
    int16_t& largest = lane_max[c - whole];
    largest = key[c] > largest ? key[c] : largest;
  }
  KeyScan scan;
  scan.smallest = key[0];
  for (int64_t c = 0; c < channels; ++c)
    scan.smallest = key[c] < scan.smallest ? key[c] : scan.smallest;
  for (const int16_t largest : lane_max)
    scan.largest = largest > scan.largest ? largest : scan.largest;
  scan.sum_square = sum_square(from, channels);
  std::memcpy(scan.lane_max, lane_max, sizeof lane_max);
  return scan;
}

ACTSWEEP_CLONES
int16_t key_reached_by(const KeyScan& scan, int64_t lanes) {
  if (lanes > kKeyLanes) return 0;
  const int16_t* largest = scan.lane_max;
  int16_t reached_by[kKeyLanes] = {};
  for (int64_t other = 0; other < kKeyLanes; ++other) {
    for (int64_t lane = 0; lane < kKeyLanes; ++lane) {
      reached_by[lane] += largest[other] >= largest[lane];
    }
  }
  int16_t bound = 0;
  for (int64_t lane = 0; lane < kKeyLanes; ++lane) {
    const int16_t key = reached_by[lane] >= lanes ? largest[lane] : int16_t{0};
    bound = key > bound ? key : bound;
  }
  return bound;
}

ACTSWEEP_CLONES
KeyRank locate_rank(std::span<const int16_t> key, int64_t rank, int16_t guess) {
  // Invariant: up_to_low = count_up_to(low) <= rank < count_up_to(high) = up_to_high.
  int32_t low = -1, high = kNonfiniteKey - 1;
  const int64_t length = static_cast<int64_t>(key.size());
  int64_t up_to_low = 0, up_to_high = length;
  int32_t probe = guess, step = 16;
  bool moved_low = false, moved_high = false;
  for (int32_t probes = 0; high - low > 1; ++probes) {
    probe = std::clamp(probe, low + 1, high - 1);
    const int64_t count = count_up_to(key.data(), length, static_cast<int16_t>(probe));
    if (count > rank) {
      high = probe;
      up_to_high = count;
      moved_high = true;
    } else {
      low = probe;
      up_to_low = count;
      moved_low = true;
    }
    if (!moved_low || !moved_high) {
      probe += moved_low ? step : -step;
      step *= 4;
    } else if (probes < kInterpolatedProbes) {
      probe = low + static_cast<int32_t>((rank + 1 - up_to_low) * (high - low) /
                                         (up_to_high - up_to_low));
    } else {
      probe = low + (high - low) / 2;
    }
  }
  return {static_cast<int16_t>(high), up_to_low};
}

ACTSWEEP_CLONES
int64_t find_keys(std::span<const int16_t> key, int16_t equal, int16_t at_least, uint8_t* mark,
                  uint32_t* found) {
  const int64_t length = static_cast<int64_t>(key.size());
  const int16_t* from = key.data();
  for (int64_t i = 0; i < length; ++i) mark[i] = (from[i] == equal) | (from[i] >= at_least);
  int64_t count = 0;
  visit_marks(mark, length, [&](int64_t i) { found[count++] = static_cast<uint32_t>(i); });
  return count;
}

ACTSWEEP_CLONES
int64_t find_magnitudes(std::span<const float> values, int16_t key, uint8_t* mark,
                        uint32_t* found) {
  const int64_t length = static_cast<int64_t>(values.size());
  const float* from = values.data();
  const int32_t wanted = key;
  for (int64_t i = 0; i < length; ++i) mark[i] = (magnitude_bits(from[i]) >> 16) == wanted;
  int64_t count = 0;
  visit_marks(mark, length,
              [&](int64_t i) { found[count++] = static_cast<uint32_t>(magnitude_bits(from[i])); });
  return count;
}

void count_keys(std::span<const int16_t> key, uint32_t* histogram) {
  const int64_t length = static_cast<int64_t>(key.size());
  const int64_t whole = length / 4 * 4;
  for (int64_t i = 0; i < whole; i += 4) {
    uint64_t four;  // one load for four keys: the loop is bound by its loads and stores
    std::memcpy(&four, key.data() + i, sizeof four);
    ++histogram[four & 0xffff];
    ++histogram[(four >> 16) & 0xffff];
    ++histogram[(four >> 32) & 0xffff];
    ++histogram[four >> 48];
  }
  for (int64_t i = whole; i < length; ++i) ++histogram[key[i]];
}

ACTSWEEP_CLONES
void add_moments(std::span<const float* const> rows, int64_t channels, const MomentSums& sums) {
  size_t row = 0;
  for (; row + 4 <= rows.size(); row += 4) add_four_rows(rows.data() + row, channels, sums);
  for (; row < rows.size(); ++row) add_row(rows[row], channels, sums);
}

}  // namespace actsweep::kernels
