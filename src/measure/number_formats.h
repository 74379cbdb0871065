// Formats of low precision for activations: how a number is rounded, and what its scale is.
//
// x̂ = s q, where q is x / s, a float32, rounded to the nearest number of the element type, ties to
// even, and cut off at its largest. A scale is that of a token's row, or of a block of its
// channels:
//   int8_token      s = max|x| / 127 over the row; whole numbers up to 127
//   fp8_e4m3_token  s = max|x| / 448 over the row; E4M3
//   mxfp8_e4m3      s = 2^(floor(log2 max|x|) − 8) over 32 channels, no less than 2^−127; E4M3
//   mxfp4           s = 2^(floor(log2 max|x|) − 2) over 32 channels, no less than 2^−127; E2M1
//   nvfp4           s = g E4M3(max|x| / 6 / g) over 16 channels, g = max|x| / 6 / 448 over the row;
//   E2M1
// The MX formats are those of OCP Microscaling Formats v1.0, section 6.3. NVFP4 is NVIDIA's; its
// second scale, which is that of a tensor, is a token's here, as int8 and FP8 have it.
#pragma once

#include <bit>
#include <cstdint>

#include "base/float_bits.h"
#include "base/instruction_sets.h"
#include "job/job.h"

namespace actsweep {

/// The numbers of an element type: 2^e (1 + i / 2^mantissa), multiples of 2^(smallest − mantissa)
/// below 2^smallest.
struct ElementFormat {
  int32_t mantissa;  // bits
  int32_t smallest;  // exponent of a normal number
  float largest;
};
inline constexpr ElementFormat kE4M3 = {3, -6, 448};
inline constexpr ElementFormat kE2M1 = {1, 0, 6};
/// Whole numbers: the spacing is 1 up to 2^8.
inline constexpr ElementFormat kInt8 = {7, 7, 127};

constexpr ElementFormat element_of(NumberFormat format) {
  switch (format) {
    case NumberFormat::kInt8Token:
      return kInt8;
    case NumberFormat::kFp8E4M3Token:
    case NumberFormat::kMxfp8E4M3:
      return kE4M3;
    default:
      return kE2M1;
  }
}

/// Channels that share a scale; 0: all of a row.
constexpr int64_t channels_of_scale(NumberFormat format) {
  switch (format) {
    case NumberFormat::kMxfp8E4M3:
    case NumberFormat::kMxfp4:
      return 32;
    case NumberFormat::kNvfp4:
      return 16;
    default:
      return 0;
  }
}

inline constexpr int32_t kExponentMask = 0x7f800000;
inline constexpr int32_t kBitsOfSmallestScale = 1 << (kFloatMantissa - 1);  // of 2^−127

/// The exponent of the largest number of an MX format's elements.
constexpr int32_t largest_exponent_of(NumberFormat format) {
  return format == NumberFormat::kMxfp4 ? 2 : 8;
}

/// A magnitude rounded to the element type. Adding a number whose spacing is that of the type there
/// rounds to even.
ACTSWEEP_INLINE float round_to(float magnitude, const ElementFormat& element) {
  const int32_t least = (kFloatBias + element.smallest) << kFloatMantissa;
  const int32_t exponent = std::bit_cast<int32_t>(magnitude) & kExponentMask;
  const int32_t above = (kFloatMantissa - element.mantissa) << kFloatMantissa;
  const float shift = std::bit_cast<float>((exponent > least ? exponent : least) + above);
  const float rounded = (magnitude + shift) - shift;
  return rounded < element.largest ? rounded : element.largest;
}

/// The scale of an MX format from the bits of the largest magnitude.
ACTSWEEP_INLINE float power_scale(int32_t largest_bits, int32_t largest_exponent) {
  const int32_t exponent = (largest_bits & kExponentMask) - (largest_exponent << kFloatMantissa);
  return std::bit_cast<float>(exponent > 0 ? exponent : kBitsOfSmallestScale);
}

}  // namespace actsweep
