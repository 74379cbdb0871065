// Shares: which heads, feed-forward neurons and vocabulary rows a rank of a model group holds. Pure
// arithmetic.
#pragma once

#include <cstdint>
#include <vector>

#include "checkpoint/architecture.h"
#include "checkpoint/tensor_rows.h"

namespace actsweep {

/// A half-open range of units.
struct Share {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

/// Part `index` of `total` units cut into `parts` near-equal contiguous runs; empty where there are
/// more parts than units.
Share cut_evenly(int64_t total, int64_t parts, int64_t index);

/// Query heads that share key/value heads evenly, in the rank's own numbering: one call of
/// attention.
struct HeadRun {
  int64_t query_begin = 0;
  int64_t queries = 0;  // a multiple of keys
  int64_t key_begin = 0;
  int64_t keys = 0;
};

/// What one rank holds.
struct ModelShare {
  Share query_heads;
  Share key_heads;  // those that its query heads need; a neighbour may hold the first and the last
                    // as well
  Share other_key_heads;           // the same in layers with other heads
  bool repeats_first_key = false;  // the rank before holds the first of them as well
  Share ffn;
  Share other_ffn;   // in layers with an MLP of another width
  Share shared_ffn;  // of the dense MLP beside experts
  Share experts;
  Share delta_heads;   // key heads of the delta rule
  Share convolved;     // channels of a short convolution
  Share state_heads;   // of a state space
  Share state_groups;  // that these are of; a neighbour may hold the first and the last as well
  Share selective;     // channels of a selective state space
  std::vector<HeadRun> state_runs;  // queries are its heads here, and keys its groups
  Share vocabulary;
  std::vector<HeadRun> runs;
};

/// Whether it has the first query head, and so counts what is the same for all heads. With fewer
/// heads than ranks this need not be rank 0.
inline bool has_first_head(const ModelShare& share) {
  return share.query_heads.begin == 0 && share.query_heads.size() > 0;
}

/// The neurons of the dense MLP of a layer (0-based), which may stand beside experts.
inline const Share& dense_neurons(const ModelShare& share, const Architecture& architecture,
                                  int64_t layer) {
  if (architecture.has_experts(layer)) return share.shared_ffn;
  return architecture.has_other_mlp(layer) ? share.other_ffn : share.ffn;
}
/// Of the widest of them.
int64_t most_dense_neurons(const ModelShare& share);

ModelShare share_of(const Architecture& architecture, int64_t parts, int64_t index);

/// The units of a row's cut axis that a rank reads: heads, neurons, elements where nothing is cut;
/// none of a row that belongs to another rank's unit.
Share units_of(const ModelShare& share, const TensorRow& row);

}  // namespace actsweep
