// Scores and probabilities of queries on a few keys of their sequence, from the log-sum-exp that
// attention left behind: no T x T tensor is made unless all keys are asked for.
//
// The sequences of a group go together.
#pragma once

#include <ATen/core/Tensor.h>

#include "model/observer.h"
#include "stats/sequence_groups.h"

namespace actsweep {

/// Queries of a group: those of the whole sequences, or of their second halves.
struct Queries {
  int64_t first = 0;    // of a sequence of the group's length
  int64_t count = 0;    // q
  at::Tensor position;  // [S', q] int64, in the sequence
  at::Tensor row;       // [S', q] int64, of all gathered rows
};

/// This rank's heads of all gathered rows of one layer.
class GatheredHeads {
 public:
  /// Of a view of a rank with heads, which must outlive it.
  explicit GatheredHeads(const AttentionView& view);

  const AttentionView& view() const { return view_; }
  int64_t count() const { return view_.call.shape.query_heads; }
  int64_t width() const { return view_.call.shape.width; }
  int64_t value_width() const { return view_.places.value; }
  /// Keys [S', H, k, D] and values [S', H, k, value width] at the positions of a group, float32.
  at::Tensor keys_at(const SequenceGroup& group) const;
  at::Tensor values_at(const SequenceGroup& group) const;
  /// Values of the sequences of a group: [S', key/value heads, n, value width] float32.
  at::Tensor values_of(const SequenceGroup& group) const;
  /// The gate of the heads' outputs at some queries of a group, [S', H, q, value width] float32;
  /// undefined where there is none.
  at::Tensor gates_at(const SequenceGroup& group, const Queries& queries) const;
  /// [S, T, H, D] float32; on a CPU a sequence begins where a cache line does unless the rows
  /// themselves are float32.
  const at::Tensor& queries() const { return queries_; }

 private:
  at::Tensor at_positions(const SequenceGroup& group, int64_t first_head, int64_t width) const;

  const AttentionView& view_;
  at::Tensor queries_;
  at::Tensor key_of_;  // [H] int64: the key/value head that each query head reads
};

Queries all_queries(const AttentionShape& shape, const SequenceGroup& group);
Queries second_half(const AttentionShape& shape, const SequenceGroup& group);

struct KeyScores {
  at::Tensor score;        // [S', H, q, k]: scaled, capped, biased; of hidden keys too
  at::Tensor probability;  // [S', H, q, k]; 0 where a key is hidden from the query
};
/// Of the repeated keys of a padded group both are 0.
KeyScores scores_on(const GatheredHeads& heads, const SequenceGroup& group, const Queries& queries);

/// The first position that a query at each position sees, where some do not see all before them.
at::Tensor first_seen(const AttentionShape& shape, const at::Tensor& query);

/// [S', q, k] bool: the keys that a query does not see, and those repeated.
at::Tensor hidden_keys(const AttentionShape& shape, const SequenceGroup& group,
                       const Queries& queries);

/// [S', q] bool: the queries outside the group's keys that see all of them.
at::Tensor counted_queries(const AttentionShape& shape, const SequenceGroup& group,
                           const Queries& queries);

}  // namespace actsweep
