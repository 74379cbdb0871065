// What CPU kernels over rows share: conversions between a row's dtype and float32, exp, and
// dispatch on the dtype.
#pragma once

#include <ATen/core/Tensor.h>

#include <bit>
#include <cstdint>

#include "base/error.h"
#include "base/instruction_sets.h"

namespace actsweep::cpu {

ACTSWEEP_INLINE float widen(float value) { return value; }
ACTSWEEP_INLINE float widen(at::BFloat16 value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value.x) << 16);
}
ACTSWEEP_INLINE float widen(at::Half value) { return static_cast<float>(value); }

ACTSWEEP_INLINE void narrow(float value, float& out) { out = value; }
ACTSWEEP_INLINE void narrow(float value, at::BFloat16& out) {
  // Round to nearest even; a NaN keeps its upper half with the quiet bit set.
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  out.x = static_cast<uint16_t>(value == value ? rounded : (bits >> 16) | 0x40);
}
ACTSWEEP_INLINE void narrow(float value, at::Half& out) { out = at::Half(value); }

/// exp by Cody-Waite reduction and a polynomial of degree 6, relative error below 2e-7 in [-87,
/// 87], clamped outside.
ACTSWEEP_INLINE float exponential(float x) {
  x = x < -87.0f ? -87.0f : (x > 87.0f ? 87.0f : x);
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float shifted = x * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const int32_t exponent = std::bit_cast<int32_t>(shifted) << 23;
  return std::bit_cast<float>(std::bit_cast<int32_t>(p) + exponent);
}

/// Calls `body` with a null pointer of the C++ type of `dtype`.
template <typename Body>
void with_type(at::ScalarType dtype, const Body& body) {
  if (dtype == at::kFloat) return body(static_cast<float*>(nullptr));
  if (dtype == at::kBFloat16) return body(static_cast<at::BFloat16*>(nullptr));
  ensure(dtype == at::kHalf, "rows are float32, bfloat16 or float16");
  body(static_cast<at::Half*>(nullptr));
}

}  // namespace actsweep::cpu
