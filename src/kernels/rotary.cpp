#include "kernels/rotary.h"

#include <ATen/ATen.h>

#include <algorithm>
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

/// The pair that turns `rotations` times over the original length.
double yarn_pair(const Rope& rope, double rotations) {
  return static_cast<double>(rope.width) *
         std::log(rope.original_length / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(rope.theta));
}

double scale_yarn(const Rope& rope, double frequency, double pair) {
  double low = yarn_pair(rope, rope.beta_fast), high = yarn_pair(rope, rope.beta_slow);
  if (rope.rounds_range) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(rope.width - 1));
  if (low == high) high += 0.001;  // as published, against a division by zero
  const double ramp = std::clamp((pair - low) / (high - low), 0.0, 1.0);
  return frequency / rope.factor * ramp + frequency * (1 - ramp);
}

double base_of(const Rope& rope, int64_t length) {
  const auto positions = static_cast<double>(length);
  if (rope.scaling != RopeScaling::kDynamic || positions <= rope.original_length) return rope.theta;
  const double width = static_cast<double>(rope.width);
  const double stretch = rope.factor * positions / rope.original_length - (rope.factor - 1);
  return rope.theta * std::pow(stretch, width / (width - 2));
}

/// Sequences of one class share a table.
int64_t length_class(const Rope& rope, int64_t length) {
  const bool is_long = static_cast<double>(length) > rope.original_length;
  if (!rope.follows_length() || !is_long) return 0;
  return rope.scaling == RopeScaling::kDynamic ? length : 1;
}

/// Of the middle of a patch: from -1 at the first row or column's outer edge to 1 at the last's; 0
/// where there is no patch.
float patch_coordinate(const PatchGrid& grid, int64_t position, bool is_row) {
  const int64_t patch = position - grid.first;
  if (patch < 0) return 0;
  const int64_t index = is_row ? patch / grid.columns : patch % grid.columns;
  const auto length = static_cast<double>(is_row ? grid.rows : grid.columns);
  return static_cast<float>(2 * ((static_cast<double>(index) + 0.5) / length) - 1);
}

/// By the pair's number among those of its axis; a whole turn from one edge to the middle.
double patch_frequency(const Rope& rope, double pair) {
  const double pairs_of_axis = static_cast<double>(rope.width) / 4;
  const double number = std::fmod(pair, pairs_of_axis);
  return 2 * std::numbers::pi * std::pow(rope.theta, -number / pairs_of_axis);
}

}  // namespace

std::vector<double> rotary_frequencies(const Rope& rope, int64_t length) {
  const double base = base_of(rope, length);
  const bool is_long = length_class(rope, length) != 0;
  std::vector<double> frequencies(rope.width / 2);
  for (size_t pair = 0; pair < frequencies.size(); ++pair) {
    const auto index = static_cast<double>(pair);
    if (rope.is_of_patches) {
      frequencies[pair] = patch_frequency(rope, index);
      continue;
    }
    double frequency = std::pow(base, -2.0 * index / static_cast<double>(rope.width));
    if (rope.scaling == RopeScaling::kLinear) frequency /= rope.factor;
    if (rope.scaling == RopeScaling::kProportional) {
      frequency = index < static_cast<double>(rope.turned_pairs) ? frequency / rope.factor : 0;
    }
    if (rope.scaling == RopeScaling::kLlama3) frequency = scale_llama3(rope, frequency);
    if (rope.scaling == RopeScaling::kYarn) frequency = scale_yarn(rope, frequency, index);
    if (rope.scaling == RopeScaling::kLongRope) {
      frequency /= (is_long ? rope.long_divisors : rope.short_divisors)[pair];
    }
    frequencies[pair] = frequency;
  }
  return frequencies;
}

RotaryTables::RotaryTables(const Architecture& architecture, int64_t positions, at::Device device,
                           const PatchGrid& grid)
    : ropes_(architecture.ropes), positions_(positions), device_(device), grid_(grid) {}

const RotaryTable& RotaryTables::table(int rope_index, int64_t length) {
  const auto& rope = ropes_[rope_index];
  auto& table = tables_[{rope_index, length_class(rope, length)}];
  if (table.cos.defined()) return table;
  const auto frequencies = rotary_frequencies(rope, length);
  const auto pairs = static_cast<int64_t>(frequencies.size());
  const bool is_long = rope.scaling == RopeScaling::kLongRope && length_class(rope, length) != 0;
  const auto factor =
      static_cast<float>(is_long ? rope.long_attention_factor : rope.attention_factor);
  const auto cosines = at::empty({positions_, pairs}, at::kFloat);
  const auto sines = at::empty({positions_, pairs}, at::kFloat);
  auto* cos = cosines.data_ptr<float>();
  auto* sin = sines.data_ptr<float>();
  for (int64_t position = 0; position < positions_; ++position) {
    for (int64_t pair = 0; pair < pairs; ++pair) {
      // The angle is rounded to float32, as every published implementation does.
      const float place = rope.is_of_patches
                              ? patch_coordinate(grid_, position, /*is_row=*/2 * pair < pairs)
                              : static_cast<float>(position);
      const float angle = place * static_cast<float>(frequencies[pair]);
      cos[position * pairs + pair] = std::cos(angle) * factor;
      sin[position * pairs + pair] = std::sin(angle) * factor;
    }
  }
  table = {cosines.to(device_), sines.to(device_), rope.is_interleaved};
  return table;
}

}  // namespace actsweep
