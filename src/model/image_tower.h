// A tower and its projector: from the pixels of images to rows of a language model.
//
// The tower is the same forward pass as that of a model of images, whole on each rank: no rank
// waits for another's images. Its weights are held as the job's are, resident or streamed; images
// pass it a few at a time, so that they need no more room than a few.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>

#include "checkpoint/checkpoint.h"
#include "comm/group.h"
#include "model/forward.h"
#include "model/image_embedding.h"
#include "weights/weight_store.h"

namespace actsweep {

class ImageTower {
 public:
  struct Options {
    int64_t height = 0;  // of all images, in pixels
    int64_t width = 0;
    int64_t together = 1;  // images that pass at a time
    Dtype dtype = Dtype::kFloat32;
    WeightMode weights = WeightMode::kResident;
    at::Device device = at::kCPU;
  };

  /// `tower` has a projector, and must outlive this.
  ImageTower(const Checkpoint& tower, const Options& options);

  /// Tokens of text that stand for one image.
  int64_t tokens_per_image() const { return tokens_; }
  /// Each image is [3, height, width] float32. [images * tokens, C of the language model] float32.
  at::Tensor rows_of(std::span<const float* const> images);

 private:
  at::Tensor pass(std::span<const float* const> images);
  at::Tensor project_features(const StageWeights& head, const at::Tensor& residual) const;
  at::Tensor projected(const StageWeights& head, const at::Tensor& features) const;

  const Architecture& a_;
  const ProjectorFacts& facts_;
  Options options_;
  Group alone_;
  int64_t grid_rows_;
  int64_t grid_columns_;
  int64_t length_;  // tokens of an image in the tower
  int64_t tokens_;
  ImageEmbedding embedding_;
  WeightStore store_;
  Forward forward_;
};

}  // namespace actsweep
