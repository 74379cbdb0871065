#include "model/rotary.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

namespace actsweep {
namespace {

double scale_llama3(const Rope& rope, double frequency) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  if (wavelength < rope.original_length / rope.high_frequency) return frequency;
  if (wavelength > rope.original_length / rope.low_frequency) return frequency / rope.factor;
  const double smooth = (rope.original_length / wavelength - rope.low_frequency) /
                        (rope.high_frequency - rope.low_frequency);
  return (1 - smooth) * frequency / rope.factor + smooth * frequency;
}

}  // namespace

std::vector<double> rotary_frequencies(const Rope& rope, int64_t head_width) {
  std::vector<double> frequencies(head_width / 2);
  for (size_t pair = 0; pair < frequencies.size(); ++pair) {
    double frequency = std::pow(rope.theta, -2.0 * static_cast<double>(pair) / head_width);
    if (rope.scaling == RopeScaling::kLinear) frequency /= rope.factor;
    if (rope.scaling == RopeScaling::kLlama3) frequency = scale_llama3(rope, frequency);
    frequencies[pair] = frequency;
  }
  return frequencies;
}

RotaryTable rotary_table(const Architecture& architecture, int64_t positions, at::Device device) {
  const auto frequencies = rotary_frequencies(architecture.rope, architecture.head_width);
  const auto pairs = static_cast<int64_t>(frequencies.size());
  RotaryTable table{at::empty({positions, pairs}, at::kFloat),
                    at::empty({positions, pairs}, at::kFloat)};
  auto* cos = table.cos.data_ptr<float>();
  auto* sin = table.sin.data_ptr<float>();
  for (int64_t position = 0; position < positions; ++position) {
    for (int64_t pair = 0; pair < pairs; ++pair) {
      // The angle is rounded to float32, as every published implementation does.
      const float angle = static_cast<float>(position) * static_cast<float>(frequencies[pair]);
      cos[position * pairs + pair] = std::cos(angle);
      sin[position * pairs + pair] = std::sin(angle);
    }
  }
  return {table.cos.to(device), table.sin.to(device)};
}

}  // namespace actsweep
