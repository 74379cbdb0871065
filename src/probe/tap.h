// A tap: the activations of one site, layer and micro-batch, as the loop hands them to whoever
// measures.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "corpus/window.h"
#include "probe/site.h"

namespace actsweep {

struct Tap {
  Site site;
  int64_t layer;    // 0 = embedding output, l = block l or its output
  at::Tensor rows;  // [labels.row_count(), channels of the site] float32, the rows that this rank
                    // owns; undefined where the layer lacks the site
  const OwnedRows& labels;
};

using TapListener = std::function<void(const Tap&)>;

}  // namespace actsweep
