// What lets the positions of a layer see each other, as facts: softmax attention, whose sizes are
// the architecture's own, or what stands in its place.
#pragma once

#include <array>
#include <cstdint>
#include <limits>

#include "checkpoint/activation.h"

namespace actsweep {

enum class MixerKind {
  kAttention,    // softmax attention
  kDelta,        // gated delta rule
  kConvolution,  // short convolution between two gates
  kStates,       // state space of Mamba-2
  kSelective,    // selective state space of Mamba
  kNone,         // the layer has an MLP alone
};
inline constexpr int kMixerKinds = static_cast<int>(MixerKind::kNone) + 1;

/// The gated delta rule (arXiv 2412.06464) behind a short causal convolution. Value heads that
/// share a key head stand next to each other.
struct DeltaFacts {
  int64_t key_heads = 0;
  int64_t value_heads = 0;
  int64_t key_width = 0;  // of queries and keys
  int64_t value_width = 0;
  int64_t taps = 0;  // of the convolution

  int64_t values_per_key() const { return value_heads / key_heads; }
  /// Of the values that share a key head.
  int64_t value_channels() const { return values_per_key() * value_width; }
  /// Of all queries, keys and values.
  int64_t convolved_channels() const { return key_heads * (2 * key_width + value_channels()); }
};

/// A short causal convolution of each channel, between a gate before it and one behind (LFM2).
struct ConvolutionFacts {
  int64_t channels = 0;  // 0: the model has none
  int64_t taps = 0;
  bool has_bias = false;  // of the convolution and of both projections
};

/// Where the norm over the channels of a group's heads stands.
enum class GroupNorm { kBehindGate, kBeforeGate, kNone };

/// The state space of Mamba-2 (arXiv 2405.21060) behind a short causal convolution: each head has a
/// state; what writes and what reads it is shared by the heads of a group, which stand next to each
/// other.
struct StateFacts {
  int64_t heads = 0;  // 0: the model has none
  int64_t head_width = 0;
  int64_t groups = 0;
  int64_t state_width = 0;
  int64_t taps = 0;
  bool has_convolution_bias = false;
  bool has_bias = false;                      // of the projection in
  bool has_output_bias = false;               // of the projection out
  Activation activation = Activation::kSilu;  // of what was convolved
  GroupNorm norm = GroupNorm::kBehindGate;
  double input_scale = 1;                                    // of what is projected
  std::array<double, 5> projected_scales = {1, 1, 1, 1, 1};  // of its parts (Weight::kMixerIn)
  double output_scale = 1;  // of what it adds where it stands beside attention
  double least_step = 0;    // time steps are clamped
  double most_step = std::numeric_limits<double>::infinity();

  int64_t heads_per_group() const { return heads / groups; }
  int64_t channels() const { return heads * head_width; }
  /// Of what writes all groups' states, or of what reads them.
  int64_t group_channels() const { return groups * state_width; }
  int64_t convolved_channels() const { return channels() + 2 * group_channels(); }
};

/// The selective state space of Mamba (arXiv 2312.00752) behind a short causal convolution: each
/// channel has a state. Its time steps, and what writes and reads states, are made of narrow rows,
/// projected from all channels.
struct SelectiveFacts {
  int64_t channels = 0;  // 0: the model has none
  int64_t state_width = 0;
  int64_t step_rank = 0;  // channels of a narrow row that time steps are made of
  int64_t taps = 0;
  bool has_convolution_bias = false;
  bool has_bias = false;                      // of the projections in and out
  Activation activation = Activation::kSilu;  // of what was convolved
  double epsilon = 0;                         // of the norms of narrow rows, where there are any

  int64_t narrow_width() const { return step_rank + 2 * state_width; }
};

}  // namespace actsweep
