// Attention received: what each key gets from the other queries that see it, over all heads, and
// the key of a window's first half that each head attends to most (definitions:
// docs/statistics.md).
//
// In: what a layer shows of its attention, for this rank's heads of all gathered rows. Out: rows
// per token and per sequence of those that this rank owns.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "comm/group.h"
#include "model/observer.h"
#include "stats/gathered_sequences.h"
#include "stats/row_sink.h"
#include "weights/share.h"

namespace actsweep {

/// How many other queries see each key: [S, positions] int64; 0 in padding. Pure arithmetic.
at::Tensor other_queries(const AttentionShape& shape, const at::Tensor& lengths);

class AttentionReceived {
 public:
  /// `heads`: query heads of the model. The group must outlive it.
  AttentionReceived(const Job& job, const Group& group, const ModelShare& share, int64_t heads);

  /// `received` [S, this rank's heads, T] float32 as look_again has it; undefined on a rank without
  /// heads. `is_finite` [S] bool: the others get NaN. Collective over the model group.
  void update(const AttentionShape& shape, const at::Tensor& received,
              const GatheredSequences& sequences, const at::Tensor& is_finite, const OwnedRows& own,
              RowSink& sink);
  /// A layer without softmax attention.
  void skip(const OwnedRows& own, RowSink& sink);

 private:
  struct Heads;
  struct OverHeads;
  Heads heads_of(const at::Tensor& received, const at::Tensor& queries,
                 const at::Tensor& lengths) const;
  OverHeads over_all_heads(const Heads& mine) const;
  void append_tokens(const OwnedRows& own, RowSink& sink);
  void append_sequences(const OwnedRows& own, RowSink& sink);

  const Group& group_;
  ModelShare share_;
  int64_t heads_;
  std::vector<Dataset> of_tokens_;  // none where the job keeps no rows per token
  std::vector<Dataset> of_sequences_;
  // Of the owned sequences, on the host: undefined for a layer without attention.
  at::Tensor mean_, largest_;  // [owned sequences, T] float32
  at::Tensor top_, position_;  // [owned sequences, heads] float32 and int64
};

}  // namespace actsweep
