#include "model/stage.h"

#include <ATen/ATen.h>

#include "base/error.h"

namespace actsweep {
namespace {

constexpr int64_t kAlignment = 64;

bool is_norm(Weight weight) {
  return weight == Weight::kAttentionNorm || weight == Weight::kMlpNorm ||
         weight == Weight::kFinalNorm;
}

bool is_of_head(const TensorRow& row) {
  return row.weight == Weight::kFinalNorm || row.weight == Weight::kHead;
}

/// A stored tensor as an at::Tensor over the map.
at::Tensor mapped(const StoredTensor& stored) {
  return at::from_blob(const_cast<std::byte*>(stored.data()), stored.shape,
                       at::TensorOptions().dtype(scalar_type(stored.dtype)));
}

}  // namespace

at::ScalarType scalar_type(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFloat32:
      return at::kFloat;
    case Dtype::kBFloat16:
      return at::kBFloat16;
    case Dtype::kFloat16:
      return at::kHalf;
  }
  return at::kFloat;
}

void StageLayout::add(const TensorRow& row, const Architecture& architecture,
                      const ModelShare& share, Dtype dtype) {
  auto& place = places_[static_cast<int>(row.weight)];
  const auto elements = elements_of(share, architecture, row.cut, row.shape[row.cut_axis]);
  auto shape = row.shape;
  shape[row.cut_axis] = elements.size();
  if (!place.is_present) {
    ensure(row.part == 0, "a weight's parts are listed in their order");
    place = {shape, is_norm(row.weight) ? at::kFloat : scalar_type(dtype), 0, true};
    parts_.push_back({row, elements, 0});
    return;
  }
  parts_.push_back({row, elements, place.shape[0]});
  place.shape[0] += shape[0];
}

void StageLayout::assign_offsets() {
  for (auto& place : places_) {
    if (!place.is_present) continue;
    place.offset = bytes_;
    int64_t elements = 1;
    for (const auto length : place.shape) elements *= length;
    const int64_t size = elements * static_cast<int64_t>(c10::elementSize(place.dtype));
    bytes_ += (size + kAlignment - 1) / kAlignment * kAlignment;
  }
}

StageLayout StageLayout::layer(const std::vector<TensorRow>& rows, const Architecture& architecture,
                               const ModelShare& share, Dtype dtype) {
  StageLayout layout;
  for (const auto& row : rows) {
    if (row.is_per_layer()) layout.add(row, architecture, share, dtype);
  }
  layout.assign_offsets();
  return layout;
}

StageLayout StageLayout::head(const std::vector<TensorRow>& rows, const Architecture& architecture,
                              const ModelShare& share, Dtype dtype) {
  StageLayout layout;
  for (const auto& row : rows) {
    if (is_of_head(row)) layout.add(row, architecture, share, dtype);
  }
  layout.assign_offsets();
  return layout;
}

StageWeights::StageWeights(const StageLayout& layout, const at::Tensor& buffer) {
  for (int weight = 0; weight < kWeights; ++weight) {
    const auto& place = layout.place(static_cast<Weight>(weight));
    if (!place.is_present) continue;
    int64_t elements = 1;
    for (const auto length : place.shape) elements *= length;
    weights_[weight] =
        buffer.narrow(0, place.offset, elements * static_cast<int64_t>(elementSize(place.dtype)))
            .view(place.dtype)
            .view(place.shape);
  }
}

void load_stage(const Checkpoint& checkpoint, const StageLayout& layout, int64_t layer,
                at::Tensor& buffer) {
  const StageWeights weights(layout, buffer);
  for (const auto& part : layout.parts()) {
    const auto& stored = checkpoint.tensor(part.row, layer);
    // Rows that are cut out of the middle are read ahead whole; columns need all rows anyway.
    const bool cuts_rows = part.row.cut_axis == 0;
    const int64_t row_bytes = stored.shape[0] == 0 ? 0 : stored.bytes / stored.shape[0];
    if (cuts_rows) {
      stored.file->read_ahead(stored.offset + part.elements.begin * row_bytes,
                              part.elements.size() * row_bytes);
    } else {
      stored.file->read_ahead(stored.offset, stored.bytes);
    }
  }
  for (const auto& part : layout.parts()) {
    const auto source = mapped(checkpoint.tensor(part.row, layer))
                            .narrow(part.row.cut_axis, part.elements.begin, part.elements.size());
    weights[part.row.weight].narrow(0, part.first_row, source.size(0)).copy_(source);
  }
}

}  // namespace actsweep
