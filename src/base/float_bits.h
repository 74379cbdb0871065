// How float32 lies in its 32 bits.
#pragma once

#include <cstdint>

namespace actsweep {

inline constexpr int32_t kFloatMantissa = 23;  // bits
inline constexpr int32_t kFloatBias = 127;     // of the exponent

}  // namespace actsweep
