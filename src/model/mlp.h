// The dense MLP of a layer, on the gathered rows.
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

}  // namespace actsweep
