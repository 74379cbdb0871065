// What the readers of Vision Transformers share.
#pragma once

#include "checkpoint/architecture.h"
#include "checkpoint/config.h"
#include "checkpoint/tensor_rows.h"

namespace actsweep {

/// The keys that not all families have, or have by one name.
struct VisionKeys {
  std::string head_width = {};  // empty where a family has none but C / H
  std::string epsilon = "layer_norm_eps";
};

/// Sizes of a Vision Transformer: heads without groups, biases everywhere, LayerNorm, no mask, a
/// class token, one learned position for it and for each patch of the config's image size.
Architecture read_vision_sizes(const Config& config, const VisionKeys& keys = {});

/// A refusal unless patches form a square, where transformers knows no other.
void require_square_grid(const Config& config, const Architecture& facts);

/// A refusal of sides given as lists, for families whose class divides one number by another.
void require_single_sides(const Config& config);

/// The layers that CLIP and SigLIP share.
void add_clip_layers(const std::string& model, TensorRows& rows);

}  // namespace actsweep
