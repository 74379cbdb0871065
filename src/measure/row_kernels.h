// Vectorised kernels over rows of float32 activations: keys, norms, order statistics, histograms,
// power sums.
//
// In: contiguous rows of C values. Out: integers, selections and float64 sums that have the same
// bits on every instruction set, because lanes and the order of additions are fixed. A key is the
// upper 16 bits of a magnitude's float32 bits: keys of finite values order like their magnitudes
// and are below kNonfiniteKey.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/instruction_sets.h"

namespace actsweep::kernels {

inline constexpr int64_t kKeyLanes = 32;
inline constexpr int16_t kNonfiniteKey = 0x7f80;  // key of infinity; those of NaN are no smaller
inline constexpr int64_t kMaxChannels = kKeyLanes * 0x7fff;  // lanes count in 16 bits

inline constexpr int32_t kMagnitudeMask = 0x7fffffff;

/// The float32 bits of a magnitude, which order as magnitudes do.
ACTSWEEP_INLINE int32_t magnitude_bits(float value) {
  return std::bit_cast<int32_t>(value) & kMagnitudeMask;
}

struct KeyScan {
  double sum_square = 0;
  int64_t sum = 0;  // of the keys
  int16_t smallest = 0;
  int16_t largest = 0;
  int16_t lane_max[kKeyLanes] =
      {};  // largest key of the channels c with c % kKeyLanes == lane, or 0
};

/// Writes the keys of `row` to `key` [C].
KeyScan scan_keys(std::span<const float> row, int16_t* key);

/// A large key that at least `count` channels reach: the largest that as many pairs of lanes do; 0
/// if there are fewer pairs.
int16_t key_reached_by(const KeyScan& scan, int64_t count);

/// Values that a bracket may hold in more than one key.
inline constexpr int64_t kFewValues = 64;

/// A few neighbouring keys, one of which has the rank.
struct KeyBracket {
  int16_t low = -1;  // keys of the bracket are above it
  int16_t high = kNonfiniteKey - 1;
  int64_t below = 0;  // keys up to `low`
};

/// Where the key of rank `rank` (0-based, rising) among finite keys is: the bracket holds few
/// values, or one key. Most rows need one look, at four bounds, `spread` keys and more from
/// `guess`; the search for the others steps outwards until it encloses the rank, then interpolates,
/// and halves where that does not converge.
KeyBracket bracket_rank(std::span<const int16_t> key, int64_t rank, int16_t guess, int16_t spread);

/// Adds one to the bin of each key.
ACTSWEEP_INLINE void count_keys(std::span<const int16_t> key, uint32_t* histogram) {
  const int64_t length = static_cast<int64_t>(key.size());
  const int64_t whole = length / 4 * 4;
  for (int64_t i = 0; i < whole; i += 4) {
    uint64_t four;  // one load for four keys
    std::memcpy(&four, key.data() + i, sizeof four);
    ++histogram[four & 0xffff];
    ++histogram[(four >> 16) & 0xffff];
    ++histogram[(four >> 32) & 0xffff];
    ++histogram[four >> 48];
  }
  for (int64_t i = whole; i < length; ++i) ++histogram[key[i]];
}

/// The sum of counts.
int64_t add_up(std::span<const uint32_t> counts);

/// Where sums over rows go, by channel.
struct MomentSums {
  double* sum = nullptr;             // [C]
  double* sum_square = nullptr;      // [C]
  double* sum_fourth = nullptr;      // [C]
  int32_t* max_bits = nullptr;       // [C] bits of the largest magnitude
  int32_t* count_above_6 = nullptr;  // [C] magnitudes of 6 or more
};

/// Adds rows of `channels` values to `sums`, four rows at a time.
void add_moments(std::span<const float* const> rows, int64_t channels, const MomentSums& sums);

}  // namespace actsweep::kernels
