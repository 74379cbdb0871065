// The router of a layer with experts: which of them each row chooses, and their weights.
//
// In: the gathered rows. Out: the choice, the same on every rank. Scores, sums and the choice are
// float32 whatever the dtype of the rows.
#pragma once

#include <ATen/core/Tensor.h>

#include "checkpoint/architecture.h"
#include "weights/stage.h"

namespace actsweep {

/// The experts that each row chose and their weights.
struct Routing {
  at::Tensor expert;  // [n, chosen] int64
  at::Tensor weight;  // [n, chosen] float32
};

/// rows [n, C] -> the choice. Scores are the softmax over all experts, the sigmoid of each, or
/// those of SparseMixer. `is_barred` [n, E] bool: experts that a row may not choose, whose logits
/// are -inf; undefined: none.
Routing route(const Architecture& architecture, const StageWeights& weights, const at::Tensor& rows,
              const at::Tensor& is_barred = {});

}  // namespace actsweep
