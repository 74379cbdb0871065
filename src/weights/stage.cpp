#include "weights/stage.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "weights/part_values.h"

namespace actsweep {
namespace {

constexpr int64_t kAlignment = 64;

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

namespace {

at::ScalarType scalar_type_of(StoredType type) {
  switch (type) {
    case StoredType::kFloat64:
      return at::kDouble;
    case StoredType::kFloat32:
      return at::kFloat;
    case StoredType::kBFloat16:
      return at::kBFloat16;
    case StoredType::kFloat16:
      return at::kHalf;
  }
  return at::kFloat;
}

}  // namespace

at::Tensor mapped_tensor(const StoredTensor& stored) {
  return at::from_blob(const_cast<std::byte*>(stored.data()), stored.shape,
                       at::TensorOptions().dtype(scalar_type_of(*stored.type)));
}

void StageLayout::add(const TensorRow& row, const ModelShare& share, Dtype dtype) {
  auto& place = places_[static_cast<int>(row.weight)];
  const auto units = units_of(share, row);
  const auto shape = row.shape_of(units.size());
  if (!place.is_present) {
    ensure(row.part == 0, "a weight's parts are listed in their order");
    const bool is_float32 = row.is_float32 || stays_float32(row.weight);
    place = {shape, is_float32 ? at::kFloat : scalar_type(dtype), 0, true};
    parts_.push_back({row, units, 0});
    return;
  }
  parts_.push_back({row, units, place.shape[0]});
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

namespace {

/// Weights that the sum of a layer's last branch meets on its way to the residual stream.
bool ends_layer(const Architecture& a, Weight weight) {
  const bool is_mlp_norm = weight == Weight::kMlpNorm || weight == Weight::kMlpNormBias;
  return weight == Weight::kMlpPostNorm || weight == Weight::kMlpScale ||
         weight == Weight::kExpertPostNorm || weight == Weight::kLayerGate ||
         weight == Weight::kLayerProjection || weight == Weight::kLayerProjectionNorm ||
         weight == Weight::kLayerScale ||
         (is_mlp_norm && a.norm.is_after_addition);
}

bool holds(const Architecture& a, const Stage& stage, const TensorRow& row) {
  if (stage.layer == a.layers) return is_of_head(row.weight);
  if (row.cut == Cut::kExperts) {
    if (row.only_unit < stage.experts.begin || row.only_unit >= stage.experts.end) return false;
  } else if (!(ends_layer(a, row.weight) ? stage.is_last : stage.is_first)) {
    return false;
  }
  return row.is_per_layer() && row.is_in(a, stage.layer);
}

}  // namespace

StageLayout::StageLayout(const std::vector<TensorRow>& rows, const Architecture& architecture,
                         const ModelShare& share, Dtype dtype, const Stage& stage) {
  for (const auto& row : rows) {
    if (holds(architecture, stage, row)) add(row, share, dtype);
  }
  assign_offsets();
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
  for (const auto& part : layout.parts()) read_part_ahead(checkpoint, part, layer);
  for (const auto& part : layout.parts()) {
    load_part(checkpoint, part, layer, weights[part.row.weight]);
  }
}

float down_weight(const Checkpoint& checkpoint, int64_t layer, int64_t neuron, int64_t channel) {
  std::vector<TensorRow> rows;
  for (const auto& row : checkpoint.rows()) {
    if (row.weight == Weight::kDown) rows.push_back(row);
  }
  const auto& a = checkpoint.architecture();
  ModelShare one_neuron;
  one_neuron.ffn = one_neuron.other_ffn = one_neuron.shared_ffn = {neuron, neuron + 1};
  const Stage stage{.layer = layer};
  const StageLayout layout(rows, a, one_neuron, Dtype::kFloat32, stage);
  auto buffer = at::empty({layout.bytes()}, at::kByte);
  load_stage(checkpoint, layout, layer, buffer);
  return StageWeights(layout, buffer)[Weight::kDown][channel][0].item<float>();
}

}  // namespace actsweep
