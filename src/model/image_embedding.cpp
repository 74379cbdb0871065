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

/// sin and cos of a patch's column, then of its row, a quarter of the channels each: [rows *
/// columns, C].
at::Tensor waves(int64_t rows, int64_t columns, int64_t channels) {
  constexpr double kLongest = 10000;
  const auto number = at::arange(channels / 4, at::kDouble) / static_cast<double>(channels / 4);
  const auto frequency = at::pow(kLongest, -number);
  const auto of = [&](int64_t length) {  // [length, C / 2]
    const auto angle = at::outer(at::arange(length, at::kDouble), frequency);
    return at::cat({angle.sin(), angle.cos()}, 1);
  };
  const auto column = of(columns).unsqueeze(0).expand({rows, -1, -1});
  const auto row = of(rows).unsqueeze(1).expand({-1, columns, -1});
  return at::cat({column, row}, 2).reshape({rows * columns, channels}).to(at::kFloat);
}

/// The tensors of a checkpoint as one weight, [rows, C] float32; of a weight that it lacks no rows.
at::Tensor rows_of(const Checkpoint& checkpoint, Weight weight) {
  const int64_t channels = checkpoint.architecture().channels;
  std::vector<at::Tensor> parts = {at::empty({0, channels})};
  for (const auto& row : checkpoint.rows()) {
    if (row.weight != weight) continue;
    parts.push_back(mapped_tensor(checkpoint.tensor(row, 0)).to(at::kFloat).view({-1, channels}));
  }
  return at::cat(parts);
}

/// The one row of a weight; undefined where the checkpoint has none.
at::Tensor vector_of(const Checkpoint& checkpoint, Weight weight) {
  const auto rows = rows_of(checkpoint, weight);
  return rows.size(0) == 0 ? at::Tensor() : rows[0];
}

/// What all tokens of an image get for their places: [T, C], of which `tokens` are no patches.
at::Tensor positions_of(const Checkpoint& checkpoint, int64_t tokens, int64_t rows,
                        int64_t columns) {
  const auto& a = checkpoint.architecture();
  auto all = at::zeros({tokens + rows * columns, a.channels});
  auto patches = all.narrow(0, tokens, rows * columns);
  if (a.image.positions == PatchPositions::kWaves) patches.copy_(waves(rows, columns, a.channels));
  const auto table = rows_of(checkpoint, Weight::kPositions);
  if (table.size(0) == 0) return all;
  all.narrow(0, 0, a.image.class_tokens).copy_(table.narrow(0, 0, a.image.class_tokens));
  patches.copy_(interpolated(table.slice(0, a.image.class_tokens), a.image, rows, columns));
  return all;
}

}  // namespace

ImageEmbedding::ImageEmbedding(const Checkpoint& checkpoint, int64_t height, int64_t width)
    : height_(height), width_(width), patch_(checkpoint.architecture().image.patch) {
  const auto& a = checkpoint.architecture();
  const int64_t rows = height / patch_, columns = width / patch_;
  for (const auto& row : checkpoint.rows()) {
    if (row.weight != Weight::kPatches) continue;
    weight_ = mapped_tensor(checkpoint.tensor(row, 0)).to(at::kFloat).view({a.channels, -1});
  }
  auto patches = at::zeros({rows * columns, a.channels});
  if (a.image.has_patch_bias) patches += vector_of(checkpoint, Weight::kPatchBias);
  start_ = at::cat(
      {rows_of(checkpoint, Weight::kClassToken), rows_of(checkpoint, Weight::kRegisters), patches});
  prefix_ = start_.size(0) - rows * columns;
  const auto positions = positions_of(checkpoint, prefix_, rows, columns);
  if (a.image.norms_patches) {
    behind_ = positions;
  } else {
    start_ += positions;
  }
  norm_ = {a.norm.kind, vector_of(checkpoint, Weight::kEmbeddingNorm),
           vector_of(checkpoint, Weight::kEmbeddingNormBias), a.norm.epsilon, 0};
}

at::Tensor ImageEmbedding::embed_one(const float* pixels) const {
  const int64_t rows = height_ / patch_, columns = width_ / patch_;
  const auto image = at::from_blob(const_cast<float*>(pixels), {3, rows, patch_, columns, patch_},
                                   {height_ * width_, patch_ * width_, width_, patch_, 1});
  const auto patches = image.permute({1, 3, 0, 2, 4}).reshape({rows * columns, -1});
  auto out = start_.clone();
  out.slice(0, prefix_).addmm_(patches, weight_.t());
  if (norm_.weight.defined()) kCpuRowOps.normalise(out, norm_, out);
  if (behind_.defined()) out += behind_;
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
