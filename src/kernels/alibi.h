// Attention with linear biases (arXiv 2108.12409). The bias slope * (j - i) and the key-only bias
// slope * j differ by a constant in each row of scores, which the softmax cancels.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "checkpoint/architecture.h"
#include "weights/share.h"

namespace actsweep {

/// One slope per head, [heads]: those of the power of 2 below, then every other one of twice as
/// many.
std::vector<double> alibi_slopes(int64_t heads);

/// The bias of each key for the heads of a rank, [heads, positions] float32 on the CPU; undefined
/// where the architecture has none. `scale` is that of the scores: Falcon scales its biases as
/// well, and rounds slopes, positions and products to bfloat16.
at::Tensor alibi_key_bias(const Architecture& architecture, Share query_heads, int64_t positions,
                          double scale);

}  // namespace actsweep
