// The whole attention of a captured prompt, all heads of the model group together.
#pragma once

#include <ATen/core/Tensor.h>

#include "checkpoint/architecture.h"
#include "comm/group.h"
#include "model/observer.h"

namespace actsweep {

struct CapturedAttention {
  at::Tensor logit;        // [heads, queries, keys] float32, NaN where a key is hidden
  at::Tensor probability;  // [heads, queries, keys] float32
};

/// Of a layer without attention: NaN.
CapturedAttention no_attention(int64_t heads, int64_t tokens);

/// Collective over the model group. The prompt stands in the first `tokens` gathered rows.
CapturedAttention captured_attention(const Architecture& architecture, const Group& group,
                                     const AttentionView& view, int64_t tokens);

}  // namespace actsweep
