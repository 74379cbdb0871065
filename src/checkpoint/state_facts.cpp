#include "checkpoint/state_facts.h"

#include <limits>

#include "base/error.h"

namespace actsweep {
namespace {

int64_t head_width_of(const Config& config, const Architecture& facts, const std::string& key) {
  if (config.values().at(key) != "auto") return config.positive(key);
  return config.positive("mamba_expand", kMostCount) * facts.channels / facts.states.heads;
}

void check_expansion(const Config& config, const Architecture& facts) {
  const int64_t expected = config.positive("mamba_expand", kMostCount) * facts.channels;
  if (facts.states.channels() == expected) return;
  config.refuse("mamba_d_head",
                fmt::format("{} channels of all \"mamba_n_heads\" heads (\"mamba_expand\" times "
                            "\"hidden_size\")",
                            expected));
}

}  // namespace

void read_states(const Config& config, Architecture& facts, const StateKeys& keys) {
  auto& s = facts.states;
  s.heads = config.positive(keys.heads, kMostCount);
  s.head_width = head_width_of(config, facts, keys.head_width);
  s.groups = config.positive(keys.groups, kMostCount);
  s.state_width = config.positive(keys.state_width);
  s.taps = config.positive(keys.taps, kMostCount);
  s.has_convolution_bias = config.flag(keys.convolution_bias);
  s.has_bias = s.has_output_bias = config.flag(keys.bias);
  if (s.heads % s.groups != 0) {
    config.refuse(keys.groups, fmt::format("a divisor of \"{}\"", keys.heads));
  }
  const auto at_most = fmt::format("at most {} channels of all heads", kMostSize);
  if (s.head_width > kMostSize / s.heads) config.refuse(keys.head_width, at_most);
  if (s.state_width > kMostSize / s.groups) config.refuse(keys.state_width, at_most);
}

nlohmann::json any_time_step() { return {0.0, std::numeric_limits<double>::infinity()}; }

void read_step_limit(const Config& config, Architecture& facts) {
  const char* key = "time_step_limit";
  const auto& limit = config.values().at(key);
  const auto is_number = [](const auto& value) { return value.is_number(); };
  const bool is_pair = limit.is_array() && limit.size() == 2 && is_number(limit[0]) &&
                       is_number(limit[1]) && limit[0] >= 0.0 && limit[0] <= limit[1];
  if (!is_pair) config.refuse(key, "a least time step of 0 or more, and a largest");
  facts.states.least_step = limit[0].get<double>();
  facts.states.most_step = limit[1].get<double>();
}

void read_expanded_states(const Config& config, Architecture& facts) {
  read_states(config, facts);
  check_expansion(config, facts);
  read_step_limit(config, facts);
  facts.states.activation = facts.activation;
}

}  // namespace actsweep
