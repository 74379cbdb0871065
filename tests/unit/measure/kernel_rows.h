// Rows for the tests of kernels, and their keys.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace actsweep::kernels {

/// Normal values, two of them equal.
inline std::vector<float> random_row(int64_t length, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.0f, 3.0f);
  std::vector<float> row(length);
  for (float& x : row) x = normal(random);
  if (length > 4) row[length / 2] = row[0];
  return row;
}

inline uint32_t bits_of(float x) { return std::bit_cast<uint32_t>(std::fabs(x)); }

inline int16_t key_of(float x) { return static_cast<int16_t>(bits_of(x) / 65536); }

inline std::vector<int16_t> keys_of(const std::vector<float>& row) {
  std::vector<int16_t> keys;
  for (const float x : row) keys.push_back(key_of(x));
  return keys;
}

}  // namespace actsweep::kernels
