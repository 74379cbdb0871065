// The rows of a block as they were before the layer that runs.
//
// In: each micro-batch's rows behind a layer. Out: a copy of them while the next layer runs, taken
// when its first stage begins.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <vector>

#include "run/block_labels.h"

namespace actsweep {

class ResidualHistory {
 public:
  /// The labels must outlive the block.
  void begin_block(const BlockLabels& labels);
  /// `rows` [own[batch].row_count(), C] float32: this rank's of the stream, which the next layer
  /// changes in place.
  void see(size_t batch, const at::Tensor& rows);
  /// Copies the rows seen last: the next layer begins.
  void begin_layer(size_t batch);
  /// Before the layer that runs; undefined where that is the embedding.
  at::Tensor before(size_t batch) const;

 private:
  const BlockLabels* labels_ = nullptr;
  std::vector<at::Tensor> seen_;  // [micro-batch]
  at::Tensor before_;             // [rows of the largest block, C] float32
  bool has_layer_ = false;
};

}  // namespace actsweep
