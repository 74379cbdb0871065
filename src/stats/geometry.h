// Geometry of the residual stream: how rows turn from layer to layer, how near they are to the
// first token's, in how many directions those of a sequence lie (definitions:
// docs/statistics.md).
//
// In: the owned rows of a micro-batch behind a layer, and before it. Out: rows per token and per
// sequence.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "corpus/window.h"
#include "stats/row_sink.h"

namespace actsweep {

class Geometry {
 public:
  explicit Geometry(const Job& job);

  /// `rows` [own.row_count(), C] float32; `before` the same, undefined for the embedding's output.
  void update(const at::Tensor& rows, const at::Tensor& before, const OwnedRows& own,
              RowSink& sink) const;

 private:
  void append_tokens(const at::Tensor& rows, const at::Tensor& before, const OwnedRows& own,
                     RowSink& sink) const;
  void append_sequences(const at::Tensor& rows, const OwnedRows& own, RowSink& sink) const;

  std::vector<Dataset> of_tokens_;  // none where the job keeps no rows per token
  std::vector<Dataset> of_sequences_;
};

}  // namespace actsweep
