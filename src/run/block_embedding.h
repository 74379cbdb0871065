// The residual stream of a micro-batch before the first layer, from a corpus of text or of images.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "corpus/window.h"
#include "model/image_embedding.h"
#include "run/inputs.h"

namespace actsweep {

class BlockEmbedding {
 public:
  /// `inputs` must outlive it.
  explicit BlockEmbedding(const SweepInputs& inputs);

  /// Fills `rows` [own.row_count(), C] float32 on any device. No communication.
  void embed(const OwnedRows& own, at::Tensor& rows) const;

 private:
  const SweepInputs& inputs_;
  std::optional<ImageEmbedding> images_;  // where the corpus has images
};

}  // namespace actsweep
