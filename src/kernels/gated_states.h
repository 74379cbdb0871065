// States that decay, are written and are read, over the sequences of a micro-batch, each from a
// state of zeros, chunk by chunk as in arXiv 2405.21060 and 2406.06484.
//
// A head's state S [Dk, Dv] becomes a S + k w with the decay a and what the position writes, w; it
// is read by the query: q S. Keys and queries are shared by the heads of a group.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace actsweep {

inline constexpr int64_t kStateChunk = 64;  // positions

/// All float32: whole sequences of T positions; R heads share each of the G keys.
struct GatedStateRows {
  at::Tensor query;  // [B, G, T, Dk]
  at::Tensor key;    // [B, G, T, Dk]
  at::Tensor value;  // [B, T, G * R, Dv]
  at::Tensor decay;  // [B, T, G * R] logarithms, at most 0
};

/// The lengths that all tensors of a call share; N = B * G.
struct StateLengths {
  int64_t sequences, groups, heads, positions, key, value;  // heads: of a group

  int64_t n() const { return sequences * groups; }
  int64_t all() const { return n() * heads; }
};

/// What a chunk of c positions brings.
struct StateChunk {
  int64_t begin, count;
  at::Tensor query, key;  // [N, c, Dk]
  at::Tensor value;       // [N, R, c, Dv]
  at::Tensor decay;       // [N, R, c, 1]: logarithm of the product from the chunk's start
  at::Tensor between;     // [N, R, c, c]: exp(decay_i - decay_j) for j <= i, else 0

  /// What is of positions and heads, [B, T, G * R], in the shape of decays.
  at::Tensor of_heads(const at::Tensor& all, const StateLengths& lengths) const;
  /// What stands in the states behind the chunk's start for rows [N, c, Dk]: [N, R, c, Dv].
  at::Tensor read(const at::Tensor& rows, const at::Tensor& state,
                  const StateLengths& lengths) const;
};

/// What the positions of a chunk write: [N * R, c, Dv]; state [N, Dk, R * Dv].
using WrittenValues = std::function<at::Tensor(const StateChunk&, const at::Tensor& state,
                                               const StateLengths& lengths)>;

/// -> [B, T, G * R, Dv] float32. Sums are float32.
at::Tensor run_gated_states(const GatedStateRows& rows, const WrittenValues& written);

/// Sizes of a call on a rank, heads of all groups together.
struct GatedStateSizes {
  int64_t groups, heads, key_width, value_width;
};

/// Bytes that a micro-batch of `rows` rows takes beside its input.
int64_t gated_state_bytes(int64_t rows, int64_t positions, const GatedStateSizes& sizes);

}  // namespace actsweep
