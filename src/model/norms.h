// The norms over the channels that a checkpoint holds, as the kernels take them.
#pragma once

#include "kernels/ops.h"
#include "weights/stage.h"

namespace actsweep {

/// The norm of a weight in a stage, with the architecture's kind, epsilon and offset, and its bias
/// where the stage has one.
Norm norm_of(const Architecture& architecture, const StageWeights& weights, Weight weight);

/// Rows [rows, channels] of the residual stream after the final norm, in their own dtype.
at::Tensor final_norm(const Architecture& architecture, const StageWeights& head,
                      const at::Tensor& rows);

}  // namespace actsweep
