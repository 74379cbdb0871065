#include "model/image_tower.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "kernels/product.h"
#include "model/norms.h"

namespace actsweep {
namespace {

Forward::Options forward_options(const Architecture& a, const ImageTower::Options& options,
                                 int64_t rows, int64_t columns) {
  const int64_t prefix = a.image.class_tokens + a.image.registers;
  const int64_t length = prefix + rows * columns;
  return {scalar_type(options.dtype),
          options.device,
          options.together * length,
          length,
          {prefix, rows, columns}};
}

/// Features [images, rows, columns, C] -> [images * tokens, merged * merged * C]: neighbouring
/// patches as one.
at::Tensor merged(const at::Tensor& features, int64_t side) {
  if (side == 1) return features.flatten(0, 2);
  return features.unflatten(1, {-1, side})
      .unflatten(3, {-1, side})
      .permute({0, 1, 3, 2, 4, 5})
      .flatten(3)
      .flatten(0, 2)
      .contiguous();
}

/// The means of squares of patches.
at::Tensor pooled(const at::Tensor& features, int64_t side) {
  if (side == 1) return features;
  return features.unflatten(1, {-1, side}).unflatten(3, {-1, side}).mean({2, 4});
}

}  // namespace

ImageTower::ImageTower(const Checkpoint& tower, const Options& options)
    : a_(tower.architecture()),
      facts_(*tower.projector()),
      options_(options),
      alone_(MPI_COMM_SELF, nullptr),
      grid_rows_(options.height / a_.image.patch),
      grid_columns_(options.width / a_.image.patch),
      length_(a_.image.class_tokens + a_.image.registers + grid_rows_ * grid_columns_),
      tokens_(facts_.tokens_of(length_)),
      embedding_(tower, options.height, options.width),
      store_(tower, share_of(a_, 1, 0), {options.dtype, options.weights, true, options.device}),
      forward_(a_, alone_, forward_options(a_, options, grid_rows_, grid_columns_)) {}

at::Tensor ImageTower::rows_of(std::span<const float* const> images) {
  std::vector<at::Tensor> parts = {
      at::empty({0, facts_.channels}, at::TensorOptions().device(options_.device))};
  for (size_t first = 0; first < images.size(); first += options_.together) {
    const auto count = std::min<size_t>(options_.together, images.size() - first);
    parts.push_back(pass(images.subspan(first, count)));
  }
  return at::cat(parts);
}

at::Tensor ImageTower::pass(std::span<const float* const> images) {
  const auto count = static_cast<int64_t>(images.size());
  auto residual =
      at::empty({count * length_, a_.channels}, at::TensorOptions().device(options_.device));
  embedding_.embed(images, residual);
  const Sequences sequences = {length_, std::vector<int64_t>(count, length_)};
  const auto& stages = store_.stages();
  ExpertRows no_experts;
  for (int64_t place = 0; place + 1 < static_cast<int64_t>(stages.size()); ++place) {
    const auto& weights = store_.acquire(place, place + 1);
    forward_.stage(stages[place], weights, sequences, residual, no_experts);
  }
  return project_features(store_.acquire(static_cast<int64_t>(stages.size()) - 1, 0), residual);
}

/// What is taken of the tower's rows, normed, without class tokens, patches brought together.
at::Tensor ImageTower::project_features(const StageWeights& head,
                                        const at::Tensor& residual) const {
  const bool is_normed = facts_.takes_final_norm && head.has(Weight::kFinalNorm);
  const auto normed = is_normed ? final_norm(a_, head, residual) : residual;
  const auto features = normed.view({-1, length_, a_.channels}).slice(1, facts_.left_out);
  if (facts_.merged * facts_.pooled == 1) return projected(head, features.flatten(0, 1));
  const auto grid = features.unflatten(1, {grid_rows_, grid_columns_});
  return projected(head, merged(pooled(grid, facts_.pooled), facts_.merged));
}

at::Tensor ImageTower::projected(const StageWeights& head, const at::Tensor& features) const {
  const auto options = features.options().dtype(scalar_type(options_.dtype));
  const auto& ops = row_ops_of(options_.device);
  auto in = at::empty(features.sizes(), options);
  if (facts_.norm) {
    const Norm norm = {facts_.norm->kind, head[Weight::kProjectorNorm],
                       head[Weight::kProjectorNormBias], facts_.norm->epsilon,
                       facts_.norm->weight_offset};
    ops.normalise(features.contiguous(), norm, in);
  } else {
    in.copy_(features);
  }
  auto out = at::empty({in.size(0), facts_.channels}, options);
  project(in, head[Weight::kProjectorIn], head[Weight::kProjectorInBias], out);
  if (!facts_.has_two_products) return out.to(at::kFloat);
  ops.activate(out, facts_.activation);
  auto second = at::empty_like(out);
  project(out, head[Weight::kProjectorOut], head[Weight::kProjectorOutBias], second);
  return second.to(at::kFloat);
}

}  // namespace actsweep
