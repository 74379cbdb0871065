// Vectorised kernels over rows of float32 activations: keys, norms, order statistics, histograms, power sums.
//
// In: contiguous rows of C values. Out: integers, selections and float64 sums that have the same bits on every
// instruction set, because lanes and the order of additions are fixed. A key is the upper 16 bits of a magnitude's
// float32 bits; keys of finite values order like their magnitudes and are below kNonfiniteKey.
#pragma once

#include <cstdint>
#include <span>

namespace actsweep::kernels {

inline constexpr int64_t kKeyLanes = 32;            // keys lie in whole groups of this many
inline constexpr int16_t kNonfiniteKey = 0x7f80;    // key of infinity; NaN keys lie above
inline constexpr int64_t kKeyCount = 1 << 15;       // keys there can be
inline constexpr int64_t kMomentLanes = 16;         // channels that are summed at once

/// Keys of a row take this many elements: C rounded up, the rest filled with the largest key.
inline int64_t padded_length(int64_t channels) {
  return (channels + kKeyLanes - 1) / kKeyLanes * kKeyLanes;
}

/// The bits of a value's magnitude: ordered like the magnitude for finite values.
uint32_t magnitude_bits(float value);

struct KeyScan {
  double sum_square = 0;
  int16_t lane_max[kKeyLanes] = {};  // largest key of the channels c with c % kKeyLanes == lane
};

/// Writes the keys of `row` to `key` [padded_length(C)].
KeyScan scan_keys(std::span<const float> row, int16_t* key);

struct KeyRank {
  int16_t key = 0;    // the key that holds the rank
  int64_t below = 0;  // keys smaller than it
};

/// The key of rank `rank` among finite keys, by bisection from a guess of it.
KeyRank locate_rank(std::span<const int16_t> key, int64_t rank, int16_t guess);

/// Writes the channels (< channels) whose key equals `equal` or is at least `at_least` to `found` [C], in rising order;
/// returns how many.
int64_t find_keys(std::span<const int16_t> key, int64_t channels, int16_t equal, int16_t at_least,
                  uint32_t* found);

/// Appends the magnitude bits of those `values` whose key equals `key` to `found` [values.size()]; returns how many.
int64_t find_magnitudes(std::span<const float> values, int16_t key, uint32_t* found);

/// Adds one to the bin of each of the first `channels` keys.
void count_keys(const int16_t* key, int64_t channels, uint32_t* histogram);

/// Sums of rows by channel.
struct MomentSums {
  double* sum = nullptr;                // [C], of the rows' class
  double* sum_square = nullptr;         // [C], of the rows' class
  double* sum_fourth = nullptr;         // [C]
  int32_t* max_magnitude_bits = nullptr;  // [C]
  int64_t* count_above_6 = nullptr;     // [C], magnitudes of 6 or more
};

/// Adds the rows at `rows`, each of `channels` values, to `sums`.
void add_moments(std::span<const float* const> rows, int64_t channels, const MomentSums& sums);

}  // namespace actsweep::kernels
