// The residual stream before the first layer: embeddings gathered from the map, scaled, projected,
// with a token type, learned positions and a norm where the family has them.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>

#include "checkpoint/checkpoint.h"

namespace actsweep {

/// Writes the embeddings of `ids` [n] into residual [n, C] float32 (host or device); row r stands
/// at position r % positions. Where the model has a sink token, it is the first row of each
/// sequence, and tokens stand at the positions that they have without it. No communication.
void embed(const Checkpoint& checkpoint, std::span<const uint32_t> ids, int64_t positions,
           at::Tensor& residual);

}  // namespace actsweep
