#include "model/image_embedding.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "weights/stage.h"

namespace actsweep {
namespace {

/// Positions [rows * columns, C] for another grid, by bicubic interpolation as transformers does
/// it.
at::Tensor interpolated(const at::Tensor& positions, const ImageFacts& facts, int64_t rows,
                        int64_t columns) {
  if (rows == facts.rows && columns == facts.columns) return positions;
  const auto grid =
      positions.view({1, facts.rows, facts.columns, -1}).permute({0, 3, 1, 2}).contiguous();
  const auto resized = facts.antialiases ? at::_upsample_bicubic2d_aa(grid, {rows, columns}, false)
                                         : at::upsample_bicubic2d(grid, {rows, columns}, false);
  return resized.permute({0, 2, 3, 1}).reshape({rows * columns, -1});
}

}  // namespace

ImageEmbedding::ImageEmbedding(const Checkpoint& checkpoint, int64_t height, int64_t width)
    : height_(height), width_(width), patch_(checkpoint.architecture().image.patch) {
  const auto& a = checkpoint.architecture();
  const auto& facts = a.image;
  const auto weight_of = [&](Weight weight) {
    for (const auto& row : checkpoint.rows()) {
      if (row.weight == weight) return mapped_tensor(checkpoint.tensor(row, 0)).to(at::kFloat);
    }
    return at::Tensor();
  };
  const int64_t rows = height / patch_, columns = width / patch_;
  weight_ = weight_of(Weight::kPatches).view({a.channels, -1});
  auto patches = at::zeros({rows * columns, a.channels});
  if (facts.has_patch_bias) patches += weight_of(Weight::kPatchBias);
  const auto positions = weight_of(Weight::kPositions).view({-1, a.channels});
  const int64_t class_tokens = facts.has_class_token ? 1 : 0;
  patches += interpolated(positions.slice(0, class_tokens), facts, rows, columns);
  std::vector<at::Tensor> parts;
  if (facts.has_class_token) {
    parts.push_back(weight_of(Weight::kClassToken).view({1, -1}) + positions.narrow(0, 0, 1));
  }
  if (facts.registers > 0) parts.push_back(weight_of(Weight::kRegisters).view({-1, a.channels}));
  parts.push_back(patches);
  start_ = at::cat(parts);
  prefix_ = start_.size(0) - rows * columns;
  norm_ = {a.norm.kind, weight_of(Weight::kEmbeddingNorm), weight_of(Weight::kEmbeddingNormBias),
           a.norm.epsilon, 0};
}

at::Tensor ImageEmbedding::embed_one(const float* pixels) const {
  const int64_t rows = height_ / patch_, columns = width_ / patch_;
  const auto image = at::from_blob(const_cast<float*>(pixels), {3, rows, patch_, columns, patch_},
                                   {height_ * width_, patch_ * width_, width_, patch_, 1});
  const auto patches = image.permute({1, 3, 0, 2, 4}).reshape({rows * columns, -1});
  auto out = start_.clone();
  out.slice(0, prefix_).addmm_(patches, weight_.t());
  if (norm_.weight.defined()) kCpuRowOps.normalise(out, norm_, out);
  return out;
}

void ImageEmbedding::embed(std::span<const float* const> images, at::Tensor& residual) const {
  const int64_t length = start_.size(0);
  ensure(residual.size(0) == static_cast<int64_t>(images.size()) * length,
         "each image has its rows in the residual stream");
  for (size_t i = 0; i < images.size(); ++i) {
    auto rows = residual.narrow(0, static_cast<int64_t>(i) * length, length);
    images[i] == nullptr ? rows.zero_() : rows.copy_(embed_one(images[i]));
  }
}

}  // namespace actsweep
