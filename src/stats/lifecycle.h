// Lifecycles: named channels of the residual stream at every layer, and what mixer and MLP change
// of them (definitions: docs/statistics.md).
//
// In: the owned rows of each micro-batch between mixer and MLP, and behind the layer. Out: rows per
// token, of which the sink keeps those of tokens with an event.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <vector>

#include "corpus/window.h"
#include "stats/row_sink.h"

namespace actsweep {

class Lifecycle {
 public:
  /// `channels`: those of the stream that are kept, in their order in the file.
  Lifecycle(const std::vector<int64_t>& channels, at::Device device);

  /// Forgets the rows of the block before.
  void begin_block(size_t batches);
  /// `rows` [own.row_count(), C] float32: what the mixer of the layer leaves to its MLP.
  void see_between(size_t batch, const at::Tensor& rows);
  /// `rows` the same, behind the layer; the block's first are the embedding's.
  void update(size_t batch, const at::Tensor& rows, const OwnedRows& own, RowSink& sink);

 private:
  at::Tensor chosen(const at::Tensor& rows) const;

  std::vector<Dataset> datasets_;
  at::Tensor channels_;                       // [channels] int64
  std::vector<at::Tensor> before_, between_;  // [micro-batch], each [rows, channels] float32
};

}  // namespace actsweep
