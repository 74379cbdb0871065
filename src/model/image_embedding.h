// The residual stream of a Vision Transformer before its first layer: patches through the patch
// convolution, behind the class tokens and the registers, with positions: learned ones are
// interpolated where the grid is another than the checkpoint's, AIMv2's are waves. The norm that
// CLIP puts there comes behind positions, AIMv2's before.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>

#include "checkpoint/checkpoint.h"
#include "kernels/ops.h"

namespace actsweep {

class ImageEmbedding {
 public:
  /// For images of height x width pixels; the last ones, if they fill no patch, are left out.
  ImageEmbedding(const Checkpoint& checkpoint, int64_t height, int64_t width);

  /// Each image is [3, height, width] float32; null: a padding sequence, whose rows become 0.
  /// residual: [images * T, C] float32, host or device. No communication.
  void embed(std::span<const float* const> images, at::Tensor& residual) const;

 private:
  at::Tensor embed_one(const float* pixels) const;

  int64_t height_;
  int64_t width_;
  int64_t patch_;
  at::Tensor weight_;  // [C, 3 * patch * patch] float32
  at::Tensor start_;   // [T, C]: class tokens, registers, patch bias, each with its position
  at::Tensor behind_;  // [T, C]: positions, where they come behind the norm; else undefined
  int64_t prefix_;     // rows before the patches
  Norm norm_;          // weight undefined where there is none
};

}  // namespace actsweep
