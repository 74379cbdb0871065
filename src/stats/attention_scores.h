// Scores and probabilities of a sequence's queries on a few of its keys, from the log-sum-exp that
// attention left behind: no T x T tensor is made unless all keys are asked for.
#pragma once

#include <ATen/core/Tensor.h>

#include "model/observer.h"

namespace actsweep {

/// One sequence in this rank's heads, as views of the layer's rows.
struct SequenceHeads {
  at::Tensor query;        // [H, n, D] float32
  at::Tensor key;          // [key/value heads, n, D]
  at::Tensor value;        // [key/value heads, n, D]
  at::Tensor key_of;       // [H] int64: the key/value head that each query head reads
  at::Tensor log_sum_exp;  // [H, n]

  /// [H, positions, D] float32.
  at::Tensor keys_at(const at::Tensor& positions) const;
  at::Tensor values_at(const at::Tensor& positions) const;
};

/// Of the sequence in rows [first_row, first_row + length) of a view of a rank with heads.
SequenceHeads sequence_heads(const AttentionView& view, int64_t first_row, int64_t length);

struct KeyScores {
  at::Tensor score;        // [H, queries, keys]: scaled, capped, biased; of hidden keys too
  at::Tensor probability;  // [H, queries, keys]; 0 where a key is hidden from the query
};

/// Of the queries from `first` on. `positions` [keys] int64 on the view's device.
KeyScores scores_on(const AttentionView& view, const SequenceHeads& heads,
                    const at::Tensor& positions, int64_t first = 0);

/// [n, keys] bool: which keys a query sees.
at::Tensor visible_keys(const AttentionShape& shape, int64_t length, const at::Tensor& positions);

/// [n] bool: the queries outside a set of keys that see all of it, from the set's positions.
at::Tensor queries_of(const AttentionShape& shape, int64_t length, const at::Tensor& positions);

}  // namespace actsweep
