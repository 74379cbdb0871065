#include "probe/control_channels.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/splitmix.h"

namespace actsweep {
at::Tensor median_channels(const at::Tensor& rows, int64_t count) {
  const auto magnitude = rows.abs();
  const auto median = std::get<0>(magnitude.median(1, /*keepdim=*/true));
  const auto distance = (magnitude - median).abs();
  return distance.argsort(/*stable=*/true, 1, /*descending=*/false).narrow(1, 0, count);
}

std::vector<int64_t> random_channels(uint64_t seed, uint64_t sequence, uint64_t layer,
                                     int64_t channels, int64_t count) {
  const uint64_t key = splitmix64(splitmix64(splitmix64(seed) ^ sequence) ^ layer);
  std::vector<int64_t> chosen;
  for (uint64_t draw = 0; static_cast<int64_t>(chosen.size()) < count; ++draw) {
    const auto channel =
        static_cast<int64_t>(splitmix64(key + draw) % static_cast<uint64_t>(channels));
    if (std::find(chosen.begin(), chosen.end(), channel) == chosen.end()) chosen.push_back(channel);
  }
  return chosen;
}

}  // namespace actsweep
