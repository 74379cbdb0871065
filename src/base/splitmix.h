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

}  // namespace actsweep
