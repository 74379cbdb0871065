// What the readers of Vision Transformers share.
#pragma once

#include "model/architecture.h"
#include "model/config.h"
#include "model/tensor_rows.h"

namespace actsweep {

/// Sizes of a Vision Transformer: heads without groups, biases everywhere, LayerNorm, no mask, a
/// class token, one learned position for it and for each patch of the config's image size.
Architecture read_vision_sizes(const Config& config);

/// A refusal unless patches form a square, where transformers knows no other.
void require_square_grid(const Config& config, const Architecture& facts);

/// The layers that CLIP and SigLIP share.
void add_clip_layers(const std::string& model, TensorRows& rows);

}  // namespace actsweep
