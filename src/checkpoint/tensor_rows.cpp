#include "checkpoint/tensor_rows.h"

#include <utility>

namespace actsweep {

std::string numbered(std::string name, const std::string& hole, int64_t number) {
  return name.replace(name.find(hole), hole.size(), std::to_string(number));
}

std::string tensor_name(const TensorRow& row, int64_t layer) {
  std::string name = row.name;
  const auto hole = name.find("{}");
  const auto& numbers = row.layer_numbers;
  const int64_t number = numbers.empty() ? layer : numbers[layer];
  if (hole != std::string::npos) name.replace(hole, 2, std::to_string(number));
  return name;
}

bool TensorRow::is_in(const Architecture& architecture, int64_t layer) const {
  if (is_of_keys && !architecture.has_own_keys(layer)) return false;
  switch (layers) {
    case Layers::kAll:
      return true;
    case Layers::kDense:
      return architecture.has_mlp(layer) && !architecture.has_experts(layer);
    case Layers::kExperts:
      return architecture.has_experts(layer);
    case Layers::kBehindFirst:
      return layer > 0;
    case Layers::kAttention:
      return architecture.has_attention(layer);
    case Layers::kDelta:
      return architecture.mixer(layer) == MixerKind::kDelta;
    case Layers::kOwnHeads:
      return !architecture.has_other_heads(layer);
    case Layers::kOtherHeads:
      return architecture.has_other_heads(layer);
    case Layers::kRotated:
      return architecture.rope_of_layer[layer] >= 0;
    case Layers::kConvolution:
      return architecture.mixer(layer) == MixerKind::kConvolution;
    case Layers::kStates:
      return architecture.has_states(layer);
    case Layers::kSelective:
      return architecture.mixer(layer) == MixerKind::kSelective;
    case Layers::kMixer:
      return architecture.has_mixer(layer);
    case Layers::kMlp:
      return architecture.has_mlp(layer);
    case Layers::kOwnMlp:
      return !architecture.has_other_mlp(layer);
    case Layers::kOtherMlp:
      return architecture.has_other_mlp(layer);
  }
  return false;
}

std::vector<int64_t> TensorRow::whole_shape() const {
  auto own = shape;
  if (joined > 0) own = {joined, shape[0] / joined, shape[1]};
  if (is_stacked) own.erase(own.begin());
  if (own.empty()) own = {1};
  if (is_transposed) std::swap(own[0], own[1]);
  return own;
}

std::vector<int64_t> TensorRow::shape_of(int64_t units) const {
  auto own = whole_shape();
  own[cut_axis] = units * unit;
  return own;
}

int64_t TensorRow::all_units() const { return whole_shape()[cut_axis] / order.group_stride / unit; }

}  // namespace actsweep
