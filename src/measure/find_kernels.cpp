#include "measure/find_kernels.h"

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

constexpr int64_t kLineValues = 16;  // of a cache line

/// Has the line of `channel` in the next row fetched: rows lie one behind the other, and the first
/// look at one would wait for memory. Harmless where there is none.
ACTSWEEP_INLINE void fetch_next(const KeyedRow& row, int64_t channel) {
  const auto values = static_cast<int64_t>(row.values.size()) + channel;
  const auto offset = static_cast<uintptr_t>(values) * sizeof(float);
  __builtin_prefetch(
      reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(row.values.data()) + offset));
}

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

/// Writes the lanes that are in, and returns how many.
ACTSWEEP_AVX512 inline int64_t store(__m512i lanes, __mmask16 is_in, uint32_t* found) {
  _mm512_storeu_si512(found, _mm512_maskz_compress_epi32(is_in, lanes));
  return std::popcount(static_cast<uint32_t>(is_in));
}

ACTSWEEP_AVX512 inline __m512i magnitudes_of(__m512i values) {
  return _mm512_and_epi32(values, _mm512_set1_epi32(kMagnitudeMask));
}

ACTSWEEP_AVX512 inline __mmask16 is_in(BitRange range, __m512i bits, __mmask16 real) {
  const __mmask16 reached =
      _mm512_mask_cmpge_epi32_mask(real, bits, _mm512_set1_epi32(range.first));
  return _mm512_mask_cmplt_epi32_mask(reached, bits, _mm512_set1_epi32(range.end));
}

/// Of values or of their magnitudes' bits.
template <typename Word>
ACTSWEEP_AVX512 int64_t compress_magnitudes(std::span<const Word> words, BitRange range,
                                            uint32_t* found) {
  const Word* from = words.data();
  const auto length = static_cast<int64_t>(words.size());
  constexpr __mmask16 kAll = 0xffff;
  int64_t count = 0, channel = 0;
  for (; channel + kVectors * kLanes <= length; channel += kVectors * kLanes) {
    __m512i bits[kVectors];
    __mmask16 in[kVectors];
    uint32_t any = 0;
    for (int v = 0; v < kVectors; ++v) {
      bits[v] = magnitudes_of(_mm512_loadu_si512(from + channel + v * kLanes));
      in[v] = is_in(range, bits[v], kAll);
      any |= in[v];
    }
    if (any == 0) continue;
    for (int v = 0; v < kVectors; ++v) count += store(bits[v], in[v], found + count);
  }
  for (; channel < length; channel += kLanes) {
    const auto real = static_cast<__mmask16>((1u << std::min(length - channel, kLanes)) - 1);
    const __m512i bits = magnitudes_of(_mm512_maskz_loadu_epi32(real, from + channel));
    count += store(bits, is_in(range, bits, real), found + count);
  }
  return count;
}

/// Keys of a bracket, which one comparison tells: low < key <= high.
struct KeyLanes {
  __m512i first;
  __m512i count;
};

ACTSWEEP_AVX512 inline KeyLanes lanes_of(const KeyBracket& bracket) {
  return {_mm512_set1_epi16(static_cast<int16_t>(bracket.low + 1)),
          _mm512_set1_epi16(static_cast<int16_t>(bracket.high - bracket.low))};
}

ACTSWEEP_AVX512 inline __mmask32 is_in(const KeyLanes& bracket, __m512i key, __mmask32 real) {
  return _mm512_mask_cmplt_epu16_mask(real, _mm512_sub_epi16(key, bracket.first), bracket.count);
}

ACTSWEEP_AVX512 FoundCounts search_by_vectors(const KeyedRow& row, const RowSearch& search,
                                              const RowFinds& finds) {
  const auto length = static_cast<int64_t>(row.key.size());
  const KeyLanes near[] = {lanes_of(search.near[0]), lanes_of(search.near[1])};
  const __m512i top = _mm512_set1_epi16(search.top);
  FoundCounts found;
  for (int64_t channel = 0; channel < length; channel += kKeyLanes) {
    const int64_t left = std::min(length - channel, kKeyLanes);
    const auto real = static_cast<__mmask32>((uint64_t{1} << left) - 1);
    fetch_next(row, channel);
    fetch_next(row, channel + kLineValues);
    const __m512i key = _mm512_maskz_loadu_epi16(real, row.key.data() + channel);
    const __mmask32 is_near = is_in(near[0], key, real) | is_in(near[1], key, real);
    for (int64_t half = 0; half < kKeyLanes; half += kLanes) {
      const auto half_real = static_cast<__mmask16>(real >> half);
      const __m512i bits =
          magnitudes_of(_mm512_maskz_loadu_epi32(half_real, row.values.data() + channel + half));
      found.near += store(bits, static_cast<__mmask16>(is_near >> half), finds.near + found.near);
    }
    count_keys(row.key.subspan(channel, left), finds.histogram);
    for (uint32_t at_top = _mm512_mask_cmpge_epi16_mask(real, key, top); at_top != 0;
         at_top &= at_top - 1) {
      finds.top[found.top++] = static_cast<uint32_t>(channel + std::countr_zero(at_top));
    }
  }
  return found;
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
int64_t find_magnitudes(std::span<const uint32_t> bits, const KeyBracket& bracket,
                        uint32_t* found) {
  const uint32_t* from = bits.data();
  const BitRange range = range_of(bracket);
  const auto first = static_cast<uint32_t>(range.first), end = static_cast<uint32_t>(range.end);
  return write_if(
      static_cast<int64_t>(bits.size()),
      [&](int64_t i) { return (from[i] >= first) & (from[i] < end); },
      [&](int64_t i) { return from[i]; }, found);
}

ACTSWEEP_CLONES
FoundCounts search_row(const KeyedRow& row, const RowSearch& search, const RowFinds& finds) {
  const auto length = static_cast<int64_t>(row.key.size());
  const float* from = row.values.data();
  const int16_t* key = row.key.data();
  const auto bits = [&](int64_t i) { return magnitude_bits(from[i]); };
  const int16_t low = search.near[0].low, high = search.near[0].high;
  const int16_t other_low = search.near[1].low, other_high = search.near[1].high;
  const int16_t top = search.top;
  const auto is_near = [&](int64_t i) {
    return ((key[i] > low) & (key[i] <= high)) | ((key[i] > other_low) & (key[i] <= other_high));
  };
  const auto is_at_top = [&](int64_t i) { return key[i] >= top; };
  const auto channel = [](int64_t i) { return i; };
  for (int64_t i = 0; i < length; i += kLineValues) fetch_next(row, i);
  count_keys(row.key, finds.histogram);
  return {write_if(length, is_near, bits, finds.near),
          write_if(length, is_at_top, channel, finds.top)};
}

}  // namespace by_marks

int64_t find_magnitudes(std::span<const float> values, const KeyBracket& bracket, uint32_t* found) {
#ifdef ACTSWEEP_X86
  if (has_avx512()) return compress_magnitudes(values, range_of(bracket), found);
#endif
  return by_marks::find_magnitudes(values, bracket, found);
}

int64_t find_magnitudes(std::span<const uint32_t> bits, const KeyBracket& bracket,
                        uint32_t* found) {
#ifdef ACTSWEEP_X86
  if (has_avx512()) return compress_magnitudes(bits, range_of(bracket), found);
#endif
  return by_marks::find_magnitudes(bits, bracket, found);
}

FoundCounts search_row(const KeyedRow& row, const RowSearch& search, const RowFinds& finds) {
#ifdef ACTSWEEP_X86
  if (has_avx512()) return search_by_vectors(row, search, finds);
#endif
  return by_marks::search_row(row, search, finds);
}

ACTSWEEP_CLONES
uint32_t select_rank(std::span<uint32_t> bits, int64_t rank) {
  const int64_t length = static_cast<int64_t>(bits.size());
  if (length <= kFewValues / 4) return select_by_counting<kFewValues / 4>(bits, rank);
  if (length <= kFewValues / 2) return select_by_counting<kFewValues / 2>(bits, rank);
  if (length <= kFewValues * 3 / 4) return select_by_counting<kFewValues * 3 / 4>(bits, rank);
  if (length <= kFewValues) return select_by_counting<kFewValues>(bits, rank);
  std::nth_element(bits.begin(), bits.begin() + rank, bits.end());
  return bits[rank];
}

}  // namespace actsweep::kernels
