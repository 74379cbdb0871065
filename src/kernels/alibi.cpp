#include "kernels/alibi.h"

#include <ATen/ATen.h>

#include <cmath>

namespace actsweep {
namespace {

/// base, base^2, ..., the slopes of a number of heads that is a power of 2.
double slope(int64_t heads, int64_t index) {
  return std::exp2(-8.0 * static_cast<double>(index + 1) / static_cast<double>(heads));
}

float rounded(float value) { return static_cast<float>(at::BFloat16(value)); }

}  // namespace

std::vector<double> alibi_slopes(int64_t heads) {
  int64_t power = 1;
  while (2 * power <= heads) power *= 2;
  std::vector<double> slopes;
  for (int64_t i = 0; i < power; ++i) slopes.push_back(slope(power, i));
  for (int64_t i = 0; power + i < heads; ++i) slopes.push_back(slope(2 * power, 2 * i));
  return slopes;
}

at::Tensor alibi_key_bias(const Architecture& architecture, Share query_heads, int64_t positions,
                          double scale) {
  if (architecture.alibi == Alibi::kNone) return {};
  const auto slopes = alibi_slopes(architecture.heads);
  const auto bias = at::empty({query_heads.size(), positions}, at::kFloat);
  auto* value = bias.mutable_data_ptr<float>();
  for (int64_t head = query_heads.begin; head < query_heads.end; ++head) {
    for (int64_t key = 0; key < positions; ++key) {
      const auto at = static_cast<float>(key), by = static_cast<float>(slopes[head]);
      *value++ = architecture.alibi == Alibi::kFalcon
                     ? rounded(rounded(by) * rounded(at)) * static_cast<float>(scale)
                     : by * at;
    }
  }
  return bias;
}

}  // namespace actsweep
