// Routed experts: which rows choose which, and what the experts of a stage add to these rows.
//
// Rows are put in the order of their experts once per layer and micro-batch; the host learns then
// how many each expert has. Every expert takes its rows as one piece; what all of them give is
// weighted and added at once, for each row in the order of the experts' numbers.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "checkpoint/architecture.h"
#include "model/observer.h"
#include "model/router.h"
#include "weights/share.h"
#include "weights/stage.h"

namespace actsweep {

/// A list of the rows that chose expert 0, rising, then of those that chose expert 1, and so on.
struct ExpertOrder {
  std::vector<int64_t> first;  // [experts + 1]: where each expert's rows begin in the list
  at::Tensor row;              // [n * chosen] int64
  at::Tensor weight;           // [n * chosen] float32
  at::Tensor places_of;        // [n, chosen] int64: where each row stands in the list, rising

  /// Rows of the experts [begin, end).
  int64_t count(int64_t begin, int64_t end) const { return first[end] - first[begin]; }
};

ExpertOrder order_by_expert(const Routing& routing, int64_t experts);

/// What the experts of a layer take of a micro-batch, and what they add to.
struct ExpertRows {
  at::Tensor input;  // [n, C]
  at::Tensor sum;    // [n, C] float32: this rank's part of the layer's output
  Routing routing;
  ExpertOrder order;
  at::Tensor beside = {};  // [owned rows, C] float32: the dense MLP's output, where experts are
                           // normed apart; else undefined
};

/// Adds the weighted outputs of the experts that `weights` hold to the sum.
void add_expert_outputs(const Architecture& architecture, Share experts,
                        const StageWeights& weights, const LayerView& view, ExpertRows& rows);

}  // namespace actsweep
