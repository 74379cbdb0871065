// What a layer's observer adds to the scores of keys.
#pragma once

#include <ATen/core/Tensor.h>

#include "checkpoint/architecture.h"
#include "model/observer.h"
#include "weights/share.h"

namespace actsweep {

/// Collective over the model group where the layer's scores are shifted. `rows` [n, …], the
/// gathered rows -> [n, this rank's query heads] float32, by the key's row; undefined where nothing
/// is shifted, and on a rank without heads.
at::Tensor score_shift(const LayerView& view, const Architecture& architecture,
                       const ModelShare& share, const at::Tensor& rows);

}  // namespace actsweep
