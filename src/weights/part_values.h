// The values of a part: the slice of a stored tensor that a rank holds of a weight, whatever form
// it is stored in.
//
// In: the checkpoint, a part, a layer. Out: the part's elements where they stand in the weight,
// converted to its dtype; packed ones are widened on the way, a few rows at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include "weights/stage.h"

namespace actsweep {

/// Asks for the pages that a part of layer `layer` lies on.
void read_part_ahead(const Checkpoint& checkpoint, const PartPlace& part, int64_t layer);

/// Fills the part's elements of `weight`, which has the shape and dtype of its place.
void load_part(const Checkpoint& checkpoint, const PartPlace& part, int64_t layer,
               const at::Tensor& weight);

}  // namespace actsweep
