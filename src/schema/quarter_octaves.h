// Bins of magnitudes of a quarter octave, found in the bits of float32 alone, so that every machine
// puts a value into the same bin.
//
// Bin b holds |x| from 2^((b - 56) / 4) to before 2^((b - 55) / 4); the first all below too, with
// 0, and the last all above: from 2^-14 to 2^18. Mentions no tensor.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "base/float_bits.h"

namespace actsweep {

inline constexpr int64_t kQuarterOctaves = 128;
inline constexpr int32_t kQuartersBelowOne = 56;
inline constexpr int32_t kMantissaMask = (1 << kFloatMantissa) - 1;
/// The mantissas of the smallest float32 that are not below 2^(1/4), 2^(2/4), 2^(3/4).
inline constexpr std::array<int32_t, 3> kQuarterMantissas = {0x1837f1, 0x3504f4, 0x5744fd};

/// Of a finite magnitude's bits.
constexpr int32_t quarter_octave_of(int32_t bits) {
  const int32_t mantissa = bits & kMantissaMask;
  int32_t quarter = 4 * ((bits >> kFloatMantissa) - kFloatBias);
  for (const int32_t edge : kQuarterMantissas) quarter += mantissa >= edge ? 1 : 0;
  return std::clamp<int32_t>(quarter + kQuartersBelowOne, 0, kQuarterOctaves - 1);
}

/// The smallest magnitude in a bin; 0 of the first.
constexpr float lower_edge_of(int64_t bin) {
  if (bin == 0) return 0;
  const auto quarter = static_cast<int32_t>(bin) - kQuartersBelowOne;
  const int32_t octave = quarter >> 2, part = quarter & 3;
  const int32_t mantissa = part == 0 ? 0 : kQuarterMantissas[part - 1];
  return std::bit_cast<float>((octave + kFloatBias) << kFloatMantissa | mantissa);
}

}  // namespace actsweep
