// The residual stream of a micro-batch before the first layer, from a corpus of text, of
// images, or of text with images.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "corpus/window.h"
#include "model/image_embedding.h"
#include "model/image_tower.h"
#include "model/layer_embedding.h"
#include "run/inputs.h"

namespace actsweep {

class BlockEmbedding {
 public:
  /// For blocks of so many rows. `inputs` must outlive it.
  BlockEmbedding(const SweepInputs& inputs, int64_t block_rows, at::Device device);

  /// Fills `rows` [own.row_count(), C] float32 on any device, which are those of the block after
  /// `first` of others. No communication.
  void embed(const OwnedRows& own, int64_t first, at::Tensor& rows);

  /// What a layer (0-based) reads beside the stream, of rows that have been embedded:
  /// [own.row_count(), P] in the job's dtype; undefined where the model's layers have no inputs of
  /// their own. No communication.
  at::Tensor layer_inputs(const OwnedRows& own, int64_t first, int64_t layer);

 private:
  void put_images(const OwnedRows& own, at::Tensor& rows);

  const SweepInputs& inputs_;
  std::optional<ImageEmbedding> images_;  // where the corpus has images
  std::optional<ImageTower> tower_;       // where its text has some
  std::optional<LayerEmbedding> layers_;  // where they have inputs of their own
};

}  // namespace actsweep
