#include "model/layer_embedding.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "kernels/ops.h"
#include "kernels/product.h"
#include "model/mapped_rows.h"
#include "weights/stage.h"

namespace actsweep {

LayerEmbedding::LayerEmbedding(const Checkpoint& checkpoint, int64_t rows, Dtype dtype,
                               at::Device device)
    : a_(checkpoint.architecture()),
      options_(at::TensorOptions().dtype(scalar_type(dtype)).device(device)),
      table_(mapped(checkpoint, Weight::kLayerTable)),
      projections_(mapped(checkpoint, Weight::kLayerInput)),
      norm_(mapped(checkpoint, Weight::kLayerInputNorm).to(device, at::kFloat)),
      embedded_(at::empty({rows, a_.channels}, options_)) {}

void LayerEmbedding::keep(int64_t first, const at::Tensor& embedded) {
  embedded_.narrow(0, first, embedded.size(0)).copy_(embedded);
}

void LayerEmbedding::load(int64_t layer) {
  if (layer == layer_) return;
  const int64_t width = a_.layer_inputs.width;
  projection_ = projections_.narrow(0, layer * width, width).to(options_).contiguous();
  layer_ = layer;
}

at::Tensor LayerEmbedding::of(int64_t layer, std::span<const uint32_t> ids,
                              int64_t first) {
  load(layer);
  const int64_t width = a_.layer_inputs.width;
  const auto rows = static_cast<int64_t>(ids.size());
  auto projected = at::empty({rows, width}, options_);
  project(embedded_.narrow(0, first, rows), projection_, {}, projected);
  projected.mul_(1 / std::sqrt(static_cast<double>(a_.channels)));
  const Norm norm = {NormKind::kRms, norm_, {}, a_.norm.epsilon, a_.norm.weight_offset};
  row_ops_of(options_.device()).normalise(projected.to(at::kFloat), norm, projected);
  const auto id =
      index_of(rows, [&](int64_t row) { return std::min<int64_t>(ids[row], a_.vocabulary - 1); });
  const auto columns = table_.narrow(1, layer * width, width);
  const auto stored = rows_on(options_.device(), columns, id).to(options_.dtype());
  projected.add_(stored, std::sqrt(static_cast<double>(width)));
  return projected.mul_(std::sqrt(0.5));
}

int64_t layer_embedding_bytes(const Architecture& a, int64_t block_rows, int64_t rows,
                              at::ScalarType dtype) {
  if (a.layer_inputs.width == 0) return 0;
  const auto element = static_cast<int64_t>(elementSize(dtype));
  // The stream in the dtype, and what is added to it; inputs, their float32, rows of the table and
  // gates.
  const int64_t of_row = 2 * a.channels * element + a.layer_inputs.width * (4 + 4 * element);
  return block_rows * a.channels * element + rows * of_row;
}

}  // namespace actsweep
