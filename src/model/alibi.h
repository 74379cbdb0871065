// Attention with linear biases (arXiv 2108.12409). The bias slope * (j - i) and the key-only bias
// slope * j differ by a constant in each row of scores, which the softmax cancels.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/architecture.h"
#include "model/share.h"

namespace actsweep {

/// One slope per head, [heads], as the family computes them for head counts that are no power of 2.
std::vector<double> alibi_slopes(Alibi kind, int64_t heads);

/// The bias of each key for the heads of a rank, [heads, positions] float32 on the CPU; undefined
/// where the architecture has none. `scale` is that of the scores: Falcon scales its biases as
/// well, and rounds slopes and products to bfloat16.
at::Tensor alibi_key_bias(const Architecture& architecture, Share query_heads, int64_t positions,
                          double scale);

}  // namespace actsweep
