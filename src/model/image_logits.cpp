#include "model/image_logits.h"

#include <ATen/ATen.h>

#include "kernels/product.h"
#include "model/norms.h"

namespace actsweep {
namespace {

/// Tokens that the head reads: those for classes alone, or all.
at::Tensor tokens_of(const ImageFeatures features, const at::Tensor& residual) {
  if (features == ImageFeatures::kClassToken) return residual.narrow(1, 0, 1);
  if (features == ImageFeatures::kClassTokens) return residual.narrow(1, 0, 2);
  return residual;
}

/// [images, width] float32 of the normed tokens; of several heads their features follow each other.
at::Tensor features_of(const ImageFacts& image, const ImageFeatures features,
                       const at::Tensor& tokens) {
  const auto patches = [&] {
    return tokens.slice(1, image.class_tokens + image.registers).mean(1);
  };
  switch (features) {
    case ImageFeatures::kClassToken:
    case ImageFeatures::kClassTokens:
      return tokens.flatten(1);
    case ImageFeatures::kClassAndPatches:
      return at::cat({tokens.select(1, 0), patches()}, 1);
    case ImageFeatures::kPatches:
      return patches();
  }
  return {};
}

at::Tensor head_product(const at::Tensor& features, const at::Tensor& weight,
                        const at::Tensor& bias) {
  const auto in = features.to(weight.scalar_type()).contiguous();
  auto out = at::empty({in.size(0), weight.size(0)}, in.options());
  project(in, weight, bias, out);
  return out.to(at::kFloat);
}

/// Projected, and of length 1.
at::Tensor direction_of(const StageWeights& head, const at::Tensor& features) {
  const auto projected = head_product(features, head[Weight::kHeadProjection], {});
  return projected / projected.norm(2, {1}, /*keepdim=*/true);
}

}  // namespace

at::Tensor image_logits(const Architecture& architecture, const ClassifierFacts& classifier,
                        const StageWeights& head, const at::Tensor& residual) {
  auto tokens = tokens_of(classifier.features, residual).contiguous();
  if (classifier.takes_final_norm && head.has(Weight::kFinalNorm)) {
    const auto rows = tokens.flatten(0, 1);
    tokens = final_norm(architecture, head, rows).view(tokens.sizes());
  }
  auto features = features_of(architecture.image, classifier.features, tokens);
  if (classifier.has_direction) features = direction_of(head, features);
  const auto& weight = head[Weight::kHead];
  const auto& bias = head[Weight::kHeadBias];
  if (classifier.features != ImageFeatures::kClassTokens)
    return head_product(features, weight, bias);
  at::Tensor sum;
  for (int64_t number = 0; number < 2; ++number) {
    const int64_t first = number * classifier.classes;
    const auto own_bias = bias.defined() ? bias.narrow(0, first, classifier.classes) : bias;
    const auto logits =
        head_product(features.narrow(1, number * architecture.channels, architecture.channels),
                     weight.narrow(0, first, classifier.classes), own_bias);
    sum = sum.defined() ? sum + logits : logits;
  }
  return sum / 2;
}

}  // namespace actsweep
