// Scores and probabilities of a sequence's queries on a few of its keys, from the log-sum-exp that
// attention left behind: no T x T tensor is made unless all keys are asked for.
#pragma once

#include <ATen/core/Tensor.h>

#include "model/observer.h"

namespace actsweep {

/// One sequence in this rank's heads, float32.
struct SequenceHeads {
  at::Tensor query;        // [H, n, D]
  at::Tensor key;          // [H, n, D], of the head that each query head reads
  at::Tensor value;        // [H, n, D]
  at::Tensor log_sum_exp;  // [H, n]
};

/// Of the sequence in rows [first_row, first_row + length) of a view of a rank with heads.
SequenceHeads sequence_heads(const AttentionView& view, int64_t first_row, int64_t length);

struct KeyScores {
  at::Tensor score;        // [H, n, keys]: scaled, capped, biased; of hidden keys too
  at::Tensor probability;  // [H, n, keys]; 0 where a key is hidden from the query
};

/// `positions` [keys] int64 on the view's device.
KeyScores scores_on(const AttentionView& view, const SequenceHeads& heads,
                    const at::Tensor& positions);

/// [n, keys] bool: which keys a query sees.
at::Tensor visible_keys(const AttentionShape& shape, int64_t length, const at::Tensor& positions);

/// [n] bool: the queries outside a set of keys that see all of it, from the set's positions.
at::Tensor queries_of(const AttentionShape& shape, int64_t length, const at::Tensor& positions);

}  // namespace actsweep
