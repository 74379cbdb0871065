// The residual stream of a micro-batch before the first layer, from a corpus of text, of
// images, or of text with images.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "corpus/window.h"
#include "model/image_embedding.h"
#include "model/image_tower.h"
#include "run/inputs.h"

namespace actsweep {

class BlockEmbedding {
 public:
  /// `inputs` must outlive it.
  BlockEmbedding(const SweepInputs& inputs, at::Device device);

  /// Fills `rows` [own.row_count(), C] float32 on any device. No communication.
  void embed(const OwnedRows& own, at::Tensor& rows);

 private:
  void put_images(const OwnedRows& own, at::Tensor& rows);

  const SweepInputs& inputs_;
  std::optional<ImageEmbedding> images_;  // where the corpus has images
  std::optional<ImageTower> tower_;       // where its text has some
};

}  // namespace actsweep
