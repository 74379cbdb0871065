#include "checkpoint/weight.h"

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
    case Weight::kLayerProjectionNorm:
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
    case Weight::kLayerProjectionNorm:
    case Weight::kLayerScale:
    case Weight::kFinalNorm:
    case Weight::kProjectorNorm:
    case Weight::kLayerInputNorm:
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

}  // namespace actsweep
