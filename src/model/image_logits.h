// What a classifier says of images.
#pragma once

#include <ATen/core/Tensor.h>

#include "checkpoint/architecture.h"
#include "checkpoint/classifier.h"
#include "weights/stage.h"

namespace actsweep {

/// residual [images, tokens, C] float32, behind the last layer; `head` holds the classifier's rows.
/// Returns [images, classes] float32 on the same device, of products in the dtype of the head. Each
/// rank computes those of its own images.
at::Tensor image_logits(const Architecture& architecture, const ClassifierFacts& classifier,
                        const StageWeights& head, const at::Tensor& residual);

}  // namespace actsweep
