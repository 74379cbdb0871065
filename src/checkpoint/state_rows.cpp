// The rows of a state space, which ranks cut by heads; what the heads of a group share is on each
// rank that has one of them.
#include <numeric>
#include <vector>

#include "checkpoint/tensor_rows.h"

namespace actsweep {
namespace {

/// Units of a cut that stand one after the other on a stored axis.
struct StatePart {
  Cut cut = Cut::kStateHeads;
  int64_t width = 1;  // elements of a unit
  int64_t first = 0;  // element

  void place(TensorRow& row) const {
    const int64_t stored = row.whole_shape()[row.cut_axis];
    const int64_t unit = std::gcd(std::gcd(width, first), stored);  // divides the whole axis too
    row.cut = cut;
    row.unit = unit;
    row.per_cut = width / unit;
    row.order.first = first / unit;
  }
};

/// Of what is convolved, `first` elements from the beginning of an axis.
std::vector<StatePart> convolved_parts(const StateFacts& s, int64_t first) {
  const int64_t groups = first + s.channels();
  return {{Cut::kStateHeads, s.head_width, first},
          {Cut::kStateGroups, s.state_width, groups},
          {Cut::kStateGroups, s.state_width, groups + s.group_channels()}};
}

std::vector<StatePart> projected_parts(const StateFacts& s) {
  std::vector<StatePart> parts = {{Cut::kStateHeads, s.head_width, 0}};
  for (const auto& part : convolved_parts(s, s.channels())) parts.push_back(part);
  parts.push_back({Cut::kStateHeads, 1, s.channels() + s.convolved_channels()});
  return parts;
}

}  // namespace

TensorRows& TensorRows::state_space(const std::string& prefix) {
  const auto& s = a_.states;
  const auto projected = projected_parts(s), convolved = convolved_parts(s, 0);
  const int64_t width = s.channels() + s.convolved_channels() + s.heads;
  const auto add = [&](const std::string& name, Weight weight, int part, int64_t length,
                       const StatePart& place) -> auto& {
    auto& row = vector(prefix + name, weight, part, place.cut, length);
    place.place(row);
    return row;
  };
  for (int part = 0; part < 5; ++part) {
    const auto& place = projected[part];
    place.place(
        product(prefix + "in_proj", Weight::kMixerIn, part, place.cut, 0, {width, a_.channels}));
    if (s.has_bias) add("in_proj.bias", Weight::kMixerInBias, part, width, place);
  }
  for (int part = 0; part < 3; ++part) {
    const int64_t channels = s.convolved_channels();
    add("conv1d.weight", Weight::kConvolution, part, channels, convolved[part]).shape = {channels,
                                                                                         1, s.taps};
    if (!s.has_convolution_bias) continue;
    add("conv1d.bias", Weight::kConvolutionBias, part, channels, convolved[part]);
  }
  for (const auto& [name, weight] :
       {std::pair("A_log", Weight::kDecay), std::pair("D", Weight::kSkip),
        std::pair("dt_bias", Weight::kStepBias)}) {
    add(name, weight, 0, s.heads, {});
  }
  const StatePart channels = {Cut::kStateHeads, s.head_width};
  if (s.norm != GroupNorm::kNone) {
    add("norm.weight", Weight::kMixerNorm, 0, s.channels(), channels);
  }
  channels.place(product(prefix + "out_proj", Weight::kStateOutput, 0, Cut::kStateHeads, 1,
                         {a_.channels, s.channels()}));
  if (s.has_output_bias) {
    vector(prefix + "out_proj.bias", Weight::kStateOutputBias, 0, Cut::kNone, a_.channels);
  }
  return *this;
}

}  // namespace actsweep
