#include "stats/find_kernels.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/instruction_sets.h"
#ifdef ACTSWEEP_X86
#include <immintrin.h>
#endif

namespace actsweep::kernels {
namespace {

/// Magnitudes' bits from `first` to before `end`.
struct BitRange {
  int32_t first;
  int32_t end;
};

BitRange range_of(const KeyBracket& bracket) {
  return {(bracket.low + 1) << 16, (bracket.high + 1) << 16};
}

constexpr int32_t kNoEnd = kMagnitudeMask;
BitRange range_from(int16_t key) { return {key << 16, kNoEnd}; }

/// Marks, each a byte of 0 or 1, as bits.
ACTSWEEP_INLINE uint64_t bits_of(const uint8_t* mark) {
  constexpr uint64_t kGather = 0x0102040810204080;  // brings byte i to bit 56 + i
  uint64_t bits = 0;
  for (int byte = 0; byte < 8; ++byte) {
    uint64_t eight;
    std::memcpy(&eight, mark + 8 * byte, sizeof eight);
    bits |= (eight * kGather >> 56) << (8 * byte);
  }
  return bits;
}

/// Writes `what(i)` for every i below `length` that is in, in rising order; returns how many.
template <typename IsIn, typename What>
ACTSWEEP_INLINE int64_t write_if(int64_t length, IsIn is_in, What what, uint32_t* found) {
  constexpr int64_t kGroup = 64;
  constexpr int kAlwaysWritten = 4;  // by a group: more are rare, and a branch for each is slow
  const int64_t whole = length / kGroup * kGroup;
  int64_t count = 0;
  for (int64_t first = 0; first < whole; first += kGroup) {
    uint8_t mark[kGroup];
    for (int64_t i = 0; i < kGroup; ++i) mark[i] = is_in(first + i);
    uint64_t left = bits_of(mark);
    uint32_t* next = found + count;
    count += std::popcount(left);
    for (int n = 0; n < kAlwaysWritten; ++n) {
      *next++ = what(first + std::countr_zero(left) % kGroup);
      left &= left - 1;
    }
    for (; left != 0; left &= left - 1) *next++ = what(first + std::countr_zero(left));
  }
  for (int64_t i = whole; i < length; ++i) {
    if (is_in(i)) found[count++] = what(i);
  }
  return count;
}

/// Of at most kLength bits. The value of a rank is the largest of those that no more than `rank`
/// values are smaller than.
template <int64_t kLength>
ACTSWEEP_INLINE uint32_t select_by_counting(std::span<const uint32_t> bits, int64_t rank) {
  const int64_t length = static_cast<int64_t>(bits.size());
  int32_t value[kLength], smaller[kLength] = {};
  for (int64_t i = 0; i < kLength; ++i) value[i] = -1;
  for (int64_t i = 0; i < length; ++i) value[i] = static_cast<int32_t>(bits[i]);
  for (int64_t other = 0; other < length; ++other) {
    const int32_t mine = value[other];
    for (int64_t i = 0; i < kLength; ++i) smaller[i] += mine < value[i];
  }
  int32_t selected = -1;
  for (int64_t i = 0; i < kLength; ++i) {
    const int32_t candidate = smaller[i] <= rank ? value[i] : -1;
    selected = candidate > selected ? candidate : selected;
  }
  return static_cast<uint32_t>(selected);
}

#ifdef ACTSWEEP_X86

constexpr int64_t kLanes = 16;
constexpr int kVectors = 4;  // that are skipped together where they hold nothing

enum class What { kMagnitudes, kChannels };

/// Magnitudes' bits, and which of them are in a range.
struct Lanes {
  __m512i bits;
  __mmask16 in_range;
};

ACTSWEEP_AVX512 inline Lanes lanes_of(__m512i values, __mmask16 real, BitRange range) {
  const __m512i bits = _mm512_and_epi32(values, _mm512_set1_epi32(kMagnitudeMask));
  const __mmask16 reached =
      _mm512_mask_cmpge_epi32_mask(real, bits, _mm512_set1_epi32(range.first));
  return {bits, _mm512_mask_cmplt_epi32_mask(reached, bits, _mm512_set1_epi32(range.end))};
}

/// Writes what `lanes`, which begin at `channel`, have in their range; returns how many.
template <What kWhat>
ACTSWEEP_AVX512 inline int64_t store(const Lanes& lanes, int64_t channel, uint32_t* found) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i kept =
      kWhat == What::kChannels
          ? _mm512_add_epi32(lane, _mm512_set1_epi32(static_cast<int32_t>(channel)))
          : lanes.bits;
  _mm512_storeu_si512(found, _mm512_maskz_compress_epi32(lanes.in_range, kept));
  return std::popcount(static_cast<uint32_t>(lanes.in_range));
}

template <What kWhat>
ACTSWEEP_AVX512 int64_t compress(std::span<const float> values, BitRange range, uint32_t* found) {
  constexpr __mmask16 kAll = 0xffff;
  const float* from = values.data();
  const int64_t length = static_cast<int64_t>(values.size());
  int64_t count = 0, channel = 0;
  for (; channel + kVectors * kLanes <= length; channel += kVectors * kLanes) {
    Lanes lanes[kVectors];
    uint32_t any = 0;
    for (int v = 0; v < kVectors; ++v) {
      lanes[v] = lanes_of(_mm512_loadu_si512(from + channel + v * kLanes), kAll, range);
      any |= lanes[v].in_range;
    }
    if (any == 0) continue;
    for (int v = 0; v < kVectors; ++v) {
      count += store<kWhat>(lanes[v], channel + v * kLanes, found + count);
    }
  }
  for (; channel < length; channel += kLanes) {
    const int64_t left = std::min(length - channel, kLanes);
    const auto real = static_cast<__mmask16>((1u << left) - 1);
    const auto lanes = lanes_of(_mm512_maskz_loadu_epi32(real, from + channel), real, range);
    count += store<kWhat>(lanes, channel, found + count);
  }
  return count;
}

#endif

}  // namespace

namespace by_marks {

ACTSWEEP_CLONES
int64_t find_magnitudes(std::span<const float> values, const KeyBracket& bracket, uint32_t* found) {
  const float* from = values.data();
  const BitRange range = range_of(bracket);
  const auto bits = [&](int64_t i) { return magnitude_bits(from[i]); };
  return write_if(
      static_cast<int64_t>(values.size()),
      [&](int64_t i) { return (bits(i) >= range.first) & (bits(i) < range.end); }, bits, found);
}

ACTSWEEP_CLONES
int64_t find_magnitudes(const KeyedRow& row, const KeyBracket& bracket, uint32_t* found) {
  const float* from = row.values.data();
  const int16_t* key = row.key.data();
  const int16_t low = bracket.low, high = bracket.high;
  return write_if(
      static_cast<int64_t>(row.key.size()),
      [&](int64_t i) { return (key[i] > low) & (key[i] <= high); },
      [&](int64_t i) { return magnitude_bits(from[i]); }, found);
}

ACTSWEEP_CLONES
int64_t find_channels(const KeyedRow& row, int16_t at_least, uint32_t* found) {
  const int16_t* key = row.key.data();
  return write_if(
      static_cast<int64_t>(row.key.size()), [&](int64_t i) { return key[i] >= at_least; },
      [](int64_t i) { return i; }, found);
}

}  // namespace by_marks

int64_t find_magnitudes(std::span<const float> values, const KeyBracket& bracket, uint32_t* found) {
#ifdef ACTSWEEP_X86
  if (has_avx512()) return compress<What::kMagnitudes>(values, range_of(bracket), found);
#endif
  return by_marks::find_magnitudes(values, bracket, found);
}

int64_t find_magnitudes(const KeyedRow& row, const KeyBracket& bracket, uint32_t* found) {
#ifdef ACTSWEEP_X86
  if (has_avx512()) return compress<What::kMagnitudes>(row.values, range_of(bracket), found);
#endif
  return by_marks::find_magnitudes(row, bracket, found);
}

int64_t find_channels(const KeyedRow& row, int16_t at_least, uint32_t* found) {
#ifdef ACTSWEEP_X86
  if (has_avx512()) return compress<What::kChannels>(row.values, range_from(at_least), found);
#endif
  return by_marks::find_channels(row, at_least, found);
}

ACTSWEEP_CLONES
uint32_t select_rank(std::span<uint32_t> bits, int64_t rank) {
  const int64_t length = static_cast<int64_t>(bits.size());
  if (length <= kFewValues / 2) return select_by_counting<kFewValues / 2>(bits, rank);
  if (length <= kFewValues) return select_by_counting<kFewValues>(bits, rank);
  std::nth_element(bits.begin(), bits.begin() + rank, bits.end());
  return bits[rank];
}

}  // namespace actsweep::kernels
