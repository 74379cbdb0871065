// Attention by ATen's operators, a chunk of queries at a time: the scores of a chunk in float32.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>

#include "kernels/attention.h"

namespace actsweep::aten {

/// The most bytes of float32 scores that exist at a time.
inline constexpr int64_t kScoreBytes = 256ll << 20;

/// Queries [begin, end) and the keys [first_key, end_key) that they see.
struct Chunk {
  int64_t begin;
  int64_t end;
  int64_t first_key;
  int64_t end_key;

  int64_t queries() const { return end - begin; }
  int64_t keys() const { return end_key - first_key; }
};

/// Queries and keys of one run as views into the rows.
struct QueryKeyHeads {
  at::Tensor query;  // [B, queries, T, D]
  at::Tensor key;    // [B, keys, T, D]
};
QueryKeyHeads query_key_heads(const at::Tensor& qkv, const AttentionShape& shape,
                              const HeadRun& run);

/// The heads [first, first + heads) of rows [n, heads * D]: [B, heads, T, D].
at::Tensor heads_in(const at::Tensor& rows, const AttentionShape& shape, int64_t first,
                    int64_t heads);

/// Keys or values [B, keys, T, D] of a chunk in float32, one for each query head of the run.
at::Tensor of_query_heads(const at::Tensor& heads, const Chunk& chunk, const HeadRun& run);

/// True where a query of the chunk does not see a key: [queries, keys], or [B, 1, queries, keys]
/// where sequences have padding that no mask hides.
at::Tensor hidden_keys(const Chunk& chunk, const AttentionCall& call, at::Device device);

/// Scores [B, queries, rows, keys] of a chunk in float32: scaled, capped, biased, -inf where a key
/// is hidden.
at::Tensor chunk_scores(const QueryKeyHeads& heads, const Chunk& chunk, const AttentionCall& call,
                        const HeadRun& run);

/// Queries of a run of `queries` heads whose scores have room together.
inline int64_t chunk_length(const AttentionShape& shape, int64_t sequences, int64_t queries) {
  return std::clamp<int64_t>(kScoreBytes / (4 * sequences * queries * shape.positions), 1,
                             shape.positions);
}

/// Chunks of queries, of at most `length`.
template <typename One>
void over_chunks(const AttentionCall& call, int64_t length, const One& one) {
  const auto& shape = call.shape;
  for (int64_t begin = 0; begin < shape.positions; begin += length) {
    const int64_t first_key = shape.window > 0 ? std::max<int64_t>(0, begin - shape.window + 1) : 0;
    const int64_t end = std::min(begin + length, shape.positions);
    const int64_t ahead = end - 1 + shape.window;
    const bool ends_here = shape.is_causal && call.key_ends.empty();
    const bool sees_all = shape.is_causal || shape.window == 0;
    const int64_t end_key = sees_all ? shape.positions : std::min(ahead, shape.positions);
    one(Chunk{begin, end, first_key, ends_here ? end : end_key});
  }
}

}  // namespace actsweep::aten
