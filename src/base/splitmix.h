// The SplitMix64 generator (Steele, Lea, Flood 2014), whose numbers any language can compute again.
#pragma once

#include <cstdint>

namespace actsweep {

/// The i-th number, counted from 0, of the generator that starts at `seed`.
inline uint64_t splitmix64(uint64_t seed, uint64_t i = 0) {
  uint64_t x = seed + (i + 1) * 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// The same number as a part of 1, of 53 bits: from 0 on, below 1.
inline double splitmix_part(uint64_t seed, uint64_t i) {
  return static_cast<double>(splitmix64(seed, i) >> 11) * 0x1p-53;
}

}  // namespace actsweep
