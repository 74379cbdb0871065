// Groups of sequences that operators take together, and their sums over sequences.
//
// In: the sequences of a micro-batch and the keys that are looked at in each. Out: groups, with the
// index tensors that all layers and heads use. On a CPU the sequences of a group have one shape and
// are few: its operators add numbers in an order that the shape decides, as they would for each
// sequence alone. On a GPU, where a launch costs more than padding, all go together, padded.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "stats/gathered_sequences.h"

namespace actsweep {

/// S' sequences with keys.
struct SequenceGroup {
  int64_t length = 0;            // n: of the longest
  bool is_padded = false;        // some are shorter, or have fewer keys
  std::vector<int64_t> numbers;  // [S'] among those of the micro-batch
  at::Tensor sequence;           // the same, int64 on the device
  at::Tensor lengths;            // [S'] int64
  at::Tensor positions;   // [S', k] int64, rising; behind a sequence's last key that one again
  at::Tensor is_key;      // [S', k] bool: false for what was repeated
  at::Tensor is_outside;  // [S', n] bool: the tokens that are not keys

  int64_t count() const { return static_cast<int64_t>(numbers.size()); }
  int64_t keys() const { return positions.size(1); }
  at::Tensor is_padding() const;  // [S', n] bool: behind a sequence's last token
};

/// Elements of a group's largest tensor on a GPU, where it has several sequences; and bytes an
/// element of all its tensors: scores, probabilities and values in float32, two in float64.
inline constexpr int64_t kGroupElements = 8ll << 20;
inline constexpr int64_t kGroupElementBytes = 3 * 4 + 2 * 8;

/// How sequences are put together.
struct Grouping {
  bool pads = false;
  int64_t most_elements = 0;  // of a group's largest tensor, where it has several sequences

  static Grouping of(at::Device device);
};

/// What a group's largest tensor has for each sequence: length * heads * max(keys, width).
struct GroupTensor {
  int64_t heads = 1;
  int64_t width = 1;
};

/// `keys` [S]: the positions of each sequence, rising; a sequence without any is in no group.
std::vector<SequenceGroup> group_sequences(const GatheredSequences& sequences,
                                           const std::vector<std::vector<int64_t>>& keys,
                                           const GroupTensor& largest, const Grouping& grouping);

/// The first sequence alone, of `length` tokens that are all keys.
SequenceGroup first_sequence(int64_t length, at::Device device);

/// The first position of each sequence.
std::vector<std::vector<int64_t>> first_keys(const GatheredSequences& sequences);

/// Adds to `field` float64 the values [S, ...] float64 of the finite sequences, on a CPU one after
/// the other in their order.
void add_sequences(at::Tensor field, const at::Tensor& values, const at::Tensor& is_finite);

/// Adds the counts [S] int64 of the finite sequences.
void count_sequences(at::Tensor field, const at::Tensor& counts, const at::Tensor& is_finite);

}  // namespace actsweep
