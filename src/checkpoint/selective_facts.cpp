#include "checkpoint/selective_facts.h"

#include "base/error.h"

namespace actsweep {

void read_selective(const Config& config, Architecture& facts, const SelectiveKeys& keys) {
  auto& s = facts.selective;
  const bool has_rank = config.values().at(keys.step_rank) != "auto";
  const int64_t expansion = config.positive(keys.expansion, kMostCount);
  if (expansion > kMostSize / facts.channels) {
    config.refuse(keys.expansion, fmt::format("at most {} channels", kMostSize));
  }
  s.channels = expansion * facts.channels;
  s.state_width = config.positive(keys.state_width);
  s.step_rank = has_rank ? config.positive(keys.step_rank) : (facts.channels + 15) / 16;
  s.taps = config.positive(keys.taps, kMostCount);
  s.has_convolution_bias = config.flag(keys.convolution_bias);
  s.has_bias = config.flag(keys.bias);
  s.activation = facts.activation;
}

}  // namespace actsweep
