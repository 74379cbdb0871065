// The rows of a block as they were before the layer that runs, and between its mixer and its MLP.
//
// In: each micro-batch's rows behind a layer, and between the two. Out: copies of them until the
// next layer begins.
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
  /// Copies the rows that the mixer leaves and the MLP changes in place.
  void see_between(size_t batch, const at::Tensor& rows);
  /// Before the layer that runs; undefined where that is the embedding.
  at::Tensor before(size_t batch) const;
  /// Undefined where that is the embedding.
  at::Tensor between(size_t batch) const;

 private:
  void keep(size_t batch, const at::Tensor& rows, at::Tensor& all) const;
  at::Tensor rows_of(size_t batch, const at::Tensor& all) const;

  const BlockLabels* labels_ = nullptr;
  std::vector<at::Tensor> seen_;  // [micro-batch]
  at::Tensor before_, between_;   // [rows of the largest block, C] float32; undefined: not kept
  bool has_layer_ = false;
};

}  // namespace actsweep
