// The feed-forward half of a layer: the dense MLP and the routed experts, on the gathered rows.
#pragma once

#include <ATen/core/Tensor.h>

#include "checkpoint/architecture.h"
#include "model/observer.h"
#include "weights/share.h"
#include "weights/stage.h"

namespace actsweep {

/// rows [n, C] -> hidden [n, F of this rank], by way of wide [n, 2 F] where the MLP is gated. The
/// dense MLP beside experts is multiplied by the sigmoid of its own gate.
void mlp_hidden(const Architecture& architecture, const StageWeights& weights,
                const LayerView& view, const at::Tensor& rows, at::Tensor& wide,
                at::Tensor& hidden);

/// The experts that each row chose and their weights.
struct Routing {
  at::Tensor expert;  // [n, chosen] int64
  at::Tensor weight;  // [n, chosen] float32
};

/// rows [n, C] -> the choice of the router, the same on every rank. Probabilities are the softmax
/// over all experts in float32.
Routing route(const Architecture& architecture, const StageWeights& weights,
              const at::Tensor& rows);

/// What the experts of a layer take of a micro-batch, and what they add to.
struct ExpertRows {
  at::Tensor input;  // [n, C]
  at::Tensor sum;    // [n, C] float32: this rank's part of the layer's output
  Routing routing;
};

/// Adds the weighted outputs of the experts that `weights` hold to the sum, one after the other.
void add_expert_outputs(const Architecture& architecture, Share experts,
                        const StageWeights& weights, const LayerView& view, ExpertRows& rows);

}  // namespace actsweep
