#include "probe/normal_numbers.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

#include "base/splitmix.h"

namespace actsweep {
namespace {

double normal_number(uint64_t key, uint64_t channel) {
  const double radius = 1 - splitmix_part(key, 2 * channel);  // above 0, at most 1
  const double turn = splitmix_part(key, 2 * channel + 1);
  return std::sqrt(-2 * std::log(radius)) * std::cos(2 * std::numbers::pi * turn);
}

}  // namespace

at::Tensor normal_numbers(uint64_t seed, uint64_t layer, const std::vector<TokenMatch>& matches,
                          const at::Tensor& channels) {
  const auto count = static_cast<int64_t>(matches.size()), width = channels.size(1);
  const auto of_match = channels.expand({count, width}).contiguous();
  const auto numbers = at::empty({count, width}, at::kDouble);
  const int64_t* channel = of_match.const_data_ptr<int64_t>();
  double* number = numbers.mutable_data_ptr<double>();
  for (int64_t i = 0; i < count; ++i) {
    uint64_t key = splitmix64(splitmix64(splitmix64(seed) ^ matches[i].sequence) ^ layer);
    key = splitmix64(key ^ matches[i].position);
    for (int64_t k = 0; k < width; ++k) {
      number[i * width + k] = normal_number(key, channel[i * width + k]);
    }
  }
  return numbers;
}

}  // namespace actsweep
