// Vectorised kernels over rows of float32 activations: keys, norms, order statistics, histograms,
// power sums.
//
// In: contiguous rows of C values. Out: integers, selections and float64 sums that have the same
// bits on every instruction set, because lanes and the order of additions are fixed. A key is the
// upper 16 bits of a magnitude's float32 bits: keys of finite values order like their magnitudes
// and are below kNonfiniteKey.
#pragma once

#include <cstdint>
#include <span>

namespace actsweep::kernels {

inline constexpr int64_t kKeyLanes = 32;
inline constexpr int16_t kNonfiniteKey = 0x7f80;  // key of infinity; those of NaN are no smaller
inline constexpr int64_t kMaxChannels = 1 << 20;  // lanes count in 16 bits

struct KeyScan {
  double sum_square = 0;
  int16_t smallest = 0;
  int16_t largest = 0;
  int16_t lane_max[kKeyLanes] =
      {};  // largest key of the channels c with c % kKeyLanes == lane, or 0
};

/// Writes the keys of `row` to `key` [C].
KeyScan scan_keys(std::span<const float> row, int16_t* key);

/// The largest key that at least `lanes` lanes reach, so that as many channels do; 0 if there are
/// fewer lanes.
int16_t key_reached_by(const KeyScan& scan, int64_t lanes);

struct KeyRank {
  int16_t key = 0;    // the key at the rank
  int64_t below = 0;  // keys smaller than it
};

/// The key of rank `rank` (0-based, rising) among finite keys. Neighbouring rows have neighbouring
/// medians: the search steps outwards from `guess` until it encloses the rank, then interpolates,
/// and halves where that does not converge.
KeyRank locate_rank(std::span<const int16_t> key, int64_t rank, int16_t guess);

/// Writes the channels whose key equals `equal` or is at least `at_least` to `found` [C], in rising
/// order; returns how many. `mark` [C] is work space.
int64_t find_keys(std::span<const int16_t> key, int16_t equal, int16_t at_least, uint8_t* mark,
                  uint32_t* found);

/// Writes the magnitude bits of those `values` whose key equals `key` to `found` [C]; returns how
/// many. `mark` [C] is work space.
int64_t find_magnitudes(std::span<const float> values, int16_t key, uint8_t* mark, uint32_t* found);

/// Adds one to the bin of each key.
void count_keys(std::span<const int16_t> key, uint32_t* histogram);

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
