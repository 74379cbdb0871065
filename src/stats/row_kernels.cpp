#include "stats/row_kernels.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

// Compiled with -O3 -ffp-contract=off: a fused multiply-add on one instruction set alone would change bits.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define ACTSWEEP_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ACTSWEEP_CLONES
#endif

namespace actsweep::kernels {

namespace {

constexpr int64_t kLanes = 16;  // float32 values at once
constexpr int32_t kMagnitudeMask = 0x7fffffff;
constexpr int16_t kPadding = 0x7fff;

typedef float FloatLanes __attribute__((vector_size(4 * kLanes)));
typedef int32_t IntLanes __attribute__((vector_size(4 * kLanes)));
typedef int16_t HalfKeyLanes __attribute__((vector_size(2 * kLanes)));
typedef int16_t KeyLanes __attribute__((vector_size(2 * kKeyLanes)));
typedef float HalfFloatLanes __attribute__((vector_size(2 * kLanes)));
typedef double DoubleLanes __attribute__((vector_size(4 * kLanes)));  // half as many lanes

template <typename Lanes, typename T>
[[gnu::always_inline]] inline void load(Lanes& lanes, const T* from) {
  std::memcpy(&lanes, from, sizeof(Lanes));
}

template <typename Lanes, typename T>
[[gnu::always_inline]] inline void store(T* to, const Lanes& lanes) {
  std::memcpy(to, &lanes, sizeof(Lanes));
}

/// The lanes of `from` in float64: the first half in `low`.
[[gnu::always_inline]] inline void widen(const float* from, DoubleLanes& low, DoubleLanes& high) {
  HalfFloatLanes half;
  load(half, from);
  low = __builtin_convertvector(half, DoubleLanes);
  load(half, from + kLanes / 2);
  high = __builtin_convertvector(half, DoubleLanes);
}

/// The keys of 16 values; adds their squares to `square`.
[[gnu::always_inline]] inline HalfKeyLanes scan_lanes(const float* from, DoubleLanes* square) {
  IntLanes bits;
  load(bits, from);
  DoubleLanes low, high;
  widen(from, low, high);
  square[0] += low * low;
  square[1] += high * high;
  return __builtin_convertvector((bits & kMagnitudeMask) >> 16, HalfKeyLanes);
}

/// The keys of 32 values; updates the lanes' largest keys.
[[gnu::always_inline]] inline void scan_group(const float* from, int16_t* key, DoubleLanes* square,
                                              KeyLanes& lane_max) {
  store(key, scan_lanes(from, square));
  store(key + kLanes, scan_lanes(from + kLanes, square + 2));
  KeyLanes keys;
  load(keys, key);
  lane_max = keys > lane_max ? keys : lane_max;
}

/// How many keys are at most `bound`.
[[gnu::always_inline]] inline int64_t count_up_to(std::span<const int16_t> key, int16_t bound) {
  KeyLanes matches = {};
  for (size_t i = 0; i < key.size(); i += kKeyLanes) {
    KeyLanes keys;
    load(keys, key.data() + i);
    matches -= keys <= bound;
  }
  int32_t total = 0;
  for (int64_t lane = 0; lane < kKeyLanes; ++lane) total += matches[lane];
  return total;
}

/// Sums, over rows, of 16 neighbouring channels.
struct LaneMoments {
  DoubleLanes sum[2] = {}, square[2] = {}, fourth[2] = {};
  IntLanes max_bits = {}, above_6 = {};

  [[gnu::always_inline]] void add(const float* from) {
    IntLanes bits;
    load(bits, from);
    bits &= kMagnitudeMask;
    max_bits = bits > max_bits ? bits : max_bits;
    above_6 -= bits >= std::bit_cast<int32_t>(6.0f);
    DoubleLanes x[2];
    widen(from, x[0], x[1]);
    for (int half = 0; half < 2; ++half) {
      const DoubleLanes x2 = x[half] * x[half];
      sum[half] += x[half];
      square[half] += x2;
      fourth[half] += x2 * x2;
    }
  }

  /// Adds the first `count` lanes to the channels from `first` on.
  [[gnu::always_inline]] void add_to(const MomentSums& sums, int64_t first, int64_t count) const {
    double sum_[kLanes], square_[kLanes], fourth_[kLanes];
    int32_t max_[kLanes], above_[kLanes];
    std::memcpy(sum_, sum, sizeof sum_);
    std::memcpy(square_, square, sizeof square_);
    std::memcpy(fourth_, fourth, sizeof fourth_);
    store(max_, max_bits);
    store(above_, above_6);
    for (int64_t lane = 0; lane < count; ++lane) {
      const int64_t channel = first + lane;
      sums.sum[channel] += sum_[lane];
      sums.sum_square[channel] += square_[lane];
      sums.sum_fourth[channel] += fourth_[lane];
      int32_t& largest = sums.max_magnitude_bits[channel];
      largest = std::max(largest, max_[lane]);
      sums.count_above_6[channel] += above_[lane];
    }
  }
};

}  // namespace

uint32_t magnitude_bits(float value) { return std::bit_cast<uint32_t>(value) & kMagnitudeMask; }

ACTSWEEP_CLONES
KeyScan scan_keys(std::span<const float> row, int16_t* key) {
  DoubleLanes square[4] = {};
  KeyLanes lane_max = {};
  const int64_t channels = static_cast<int64_t>(row.size());
  const int64_t whole = channels / kKeyLanes * kKeyLanes;
  for (int64_t c = 0; c < whole; c += kKeyLanes) scan_group(&row[c], key + c, square, lane_max);
  if (whole < channels) {
    float last[kKeyLanes] = {};  // zeros change neither the sum nor a maximum
    std::copy(row.begin() + whole, row.end(), last);
    scan_group(last, key + whole, square, lane_max);
    std::fill(key + channels, key + whole + kKeyLanes, kPadding);
  }
  const DoubleLanes total = (square[0] + square[2]) + (square[1] + square[3]);
  KeyScan scan;
  for (int64_t lane = 0; lane < kLanes / 2; ++lane) scan.sum_square += total[lane];
  store(scan.lane_max, lane_max);
  return scan;
}

ACTSWEEP_CLONES
KeyRank locate_rank(std::span<const int16_t> key, int64_t rank, int16_t guess) {
  // Invariant: count_up_to(low) <= rank < count_up_to(high); low = -1 and high = kNonfiniteKey - 1 hold it.
  int32_t low = -1, high = kNonfiniteKey - 1;
  int64_t up_to_low = 0;
  int32_t step = 8;
  int32_t probe = guess;
  bool searches_outwards = true;  // neighbouring rows have neighbouring medians
  int32_t direction = 0;
  while (high - low > 1) {
    probe = std::clamp(probe, low + 1, high - 1);
    const int64_t count = count_up_to(key, static_cast<int16_t>(probe));
    const bool is_above = count > rank;
    if (is_above) {
      high = probe;
    } else {
      low = probe;
      up_to_low = count;
    }
    const int32_t turn = is_above ? -1 : 1;
    searches_outwards = searches_outwards && (direction == 0 || direction == turn);
    direction = turn;
    probe = searches_outwards ? probe + turn * step : low + (high - low) / 2;
    step *= 4;
  }
  return {static_cast<int16_t>(high), up_to_low};
}

ACTSWEEP_CLONES
int64_t find_keys(std::span<const int16_t> key, int64_t channels, int16_t equal, int16_t at_least,
                  uint32_t* found) {
  int64_t count = 0;
  for (int64_t first = 0; first < channels; first += kKeyLanes) {
    KeyLanes keys;
    load(keys, key.data() + first);
    const KeyLanes matches = (keys == equal) | (keys >= at_least);
    uint64_t words[sizeof(KeyLanes) / 8];
    store(words, matches);
    uint64_t any = 0;
    for (const uint64_t word : words) any |= word;
    if (any == 0) continue;
    const int64_t end = std::min(first + kKeyLanes, channels);
    for (int64_t c = first; c < end; ++c) {
      found[count] = static_cast<uint32_t>(c);
      count += key[c] == equal || key[c] >= at_least;
    }
  }
  return count;
}

ACTSWEEP_CLONES
int64_t find_magnitudes(std::span<const float> values, int16_t key, uint32_t* found) {
  constexpr int64_t kGroup = 4 * kLanes;
  const int64_t length = static_cast<int64_t>(values.size());
  const int32_t low = static_cast<int32_t>(key) << 16;
  const int32_t high = low | 0xffff;
  int64_t count = 0;
  for (int64_t first = 0; first < length; first += kGroup) {
    const int64_t end = std::min(first + kGroup, length);
    if (end == first + kGroup) {
      IntLanes matches = {};
      for (int64_t i = first; i < end; i += kLanes) {
        IntLanes bits;
        load(bits, &values[i]);
        bits &= kMagnitudeMask;
        matches |= (bits >= low) & (bits <= high);
      }
      uint64_t words[sizeof(IntLanes) / 8];
      store(words, matches);
      uint64_t any = 0;
      for (const uint64_t word : words) any |= word;
      if (any == 0) continue;
    }
    for (int64_t i = first; i < end; ++i) {
      const int32_t bits = static_cast<int32_t>(magnitude_bits(values[i]));
      found[count] = static_cast<uint32_t>(bits);
      count += bits >= low && bits <= high;
    }
  }
  return count;
}

void count_keys(const int16_t* key, int64_t channels, uint32_t* histogram) {
  for (int64_t c = 0; c < channels; ++c) ++histogram[key[c]];
}

ACTSWEEP_CLONES
void add_moments(std::span<const float* const> rows, int64_t channels, const MomentSums& sums) {
  const int64_t whole = channels / kLanes * kLanes;
  for (int64_t first = 0; first < whole; first += kLanes) {
    LaneMoments moments;
    for (const float* row : rows) moments.add(row + first);
    moments.add_to(sums, first, kLanes);
  }
  if (whole == channels) return;
  LaneMoments moments;
  for (const float* row : rows) {
    float last[kLanes] = {};
    std::copy(row + whole, row + channels, last);
    moments.add(last);
  }
  moments.add_to(sums, whole, channels - whole);
}

}  // namespace actsweep::kernels
