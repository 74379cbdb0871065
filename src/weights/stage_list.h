// The stages of one pass over a block, in order. Pure arithmetic.
#pragma once

#include <vector>

#include "weights/stage.h"

namespace actsweep {

/// A rank's stages of one pass over a block: the layers in their order, then the head where it is
/// asked for. A layer with experts is a stage without them, then near-equal runs of the rank's
/// experts, each of at least one and else of no more bytes than that stage.
std::vector<Stage> list_stages(const std::vector<TensorRow>& rows, const Architecture& architecture,
                               const ModelShare& share, Dtype dtype, bool with_head);

}  // namespace actsweep
