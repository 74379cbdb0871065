// Cross-entropy over a vocabulary that is cut over the model group.
#pragma once

#include <ATen/core/Tensor.h>

#include "checkpoint/architecture.h"
#include "comm/group.h"
#include "weights/share.h"
#include "weights/stage.h"

namespace actsweep {

/// The largest number of bytes of float32 logits that exist at a time.
inline constexpr int64_t kLogitBytes = 64ll << 20;

/// Collective over the model group. residual [n, C] float32, owned rows; targets [n] int64 on the
/// residual's device, ids of the next tokens (any valid id where there is none). Returns [n]
/// float32 on the host: -log softmax(logits)[target] in nats. Each rank computes the logits of its
/// vocabulary rows, chunk by chunk, in the dtype of the head; log-sum-exp and target logits are
/// combined by the rows' owners in float64.
at::Tensor token_nll(const Architecture& architecture, const StageWeights& head,
                     const at::Tensor& residual, const at::Tensor& targets, const Group& group);

}  // namespace actsweep
