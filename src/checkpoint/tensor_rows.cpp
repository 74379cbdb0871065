#include "checkpoint/tensor_rows.h"

#include <utility>

namespace actsweep {

bool stays_float32(Weight weight) {
  switch (weight) {
    case Weight::kAttentionNorm:
    case Weight::kAttentionNormBias:
    case Weight::kQueryLatentNorm:
    case Weight::kKeyValueLatentNorm:
    case Weight::kQueryNorm:
    case Weight::kQueryNormBias:
    case Weight::kKeyNorm:
    case Weight::kKeyNormBias:
    case Weight::kValueNorm:
    case Weight::kSinks:
    case Weight::kRouterCorrection:
    case Weight::kExtraKey:
    case Weight::kExtraValue:
    case Weight::kAttentionPostNorm:
    case Weight::kConvolution:
    case Weight::kConvolutionBias:
    case Weight::kDecay:
    case Weight::kStepBias:
    case Weight::kStepNorm:
    case Weight::kWriteNorm:
    case Weight::kReadNorm:
    case Weight::kSkip:
    case Weight::kMixerNorm:
    case Weight::kAttentionScale:
    case Weight::kMlpScale:
    case Weight::kMlpNorm:
    case Weight::kMlpNormBias:
    case Weight::kMlpPostNorm:
    case Weight::kDensePostNorm:
    case Weight::kRouterNorm:
    case Weight::kExpertNorm:
    case Weight::kExpertPostNorm:
    case Weight::kExpertScale:
    case Weight::kLayerScale:
    case Weight::kXielu:
    case Weight::kFinalNorm:
    case Weight::kFinalNormBias:
    case Weight::kProjectorNorm:
    case Weight::kProjectorNormBias:
      return true;
    default:
      return false;
  }
}

bool is_of_head(Weight weight) {
  return weight == Weight::kFinalNorm || weight == Weight::kFinalNormBias ||
         weight == Weight::kHeadProjection || weight == Weight::kHead ||
         weight == Weight::kHeadBias ||
         (weight >= Weight::kProjectorNorm && weight <= Weight::kProjectorOutBias);
}

bool is_factor(Weight weight) {
  switch (weight) {
    case Weight::kAttentionNorm:
    case Weight::kQueryLatentNorm:
    case Weight::kKeyValueLatentNorm:
    case Weight::kMixerNorm:
    case Weight::kStepNorm:
    case Weight::kWriteNorm:
    case Weight::kReadNorm:
    case Weight::kQueryNorm:
    case Weight::kKeyNorm:
    case Weight::kAttentionPostNorm:
    case Weight::kAttentionScale:
    case Weight::kMlpNorm:
    case Weight::kMlpPostNorm:
    case Weight::kMlpScale:
    case Weight::kDensePostNorm:
    case Weight::kRouterNorm:
    case Weight::kExpertNorm:
    case Weight::kExpertPostNorm:
    case Weight::kExpertScale:
    case Weight::kLayerScale:
    case Weight::kFinalNorm:
    case Weight::kProjectorNorm:
    case Weight::kEmbeddingNorm:
      return true;
    default:
      return false;
  }
}

std::optional<Weight> bias_of(Weight norm) {
  switch (norm) {
    case Weight::kAttentionNorm:
      return Weight::kAttentionNormBias;
    case Weight::kMlpNorm:
      return Weight::kMlpNormBias;
    case Weight::kFinalNorm:
      return Weight::kFinalNormBias;
    case Weight::kEmbeddingNorm:
      return Weight::kEmbeddingNormBias;
    default:
      return std::nullopt;
  }
}

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
