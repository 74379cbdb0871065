// Rotary position embedding (arXiv 2104.09864): the tables of cosines and sines.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/architecture.h"

namespace actsweep {

/// Angular frequency of each pair of a head's channels, [D/2], with the family's scaling (llama3:
/// as transformers' ROPE_INIT_FUNCTIONS, which follows Meta's released Llama 3.1 code).
std::vector<double> rotary_frequencies(const Rope& rope, int64_t head_width);

struct RotaryTable {
  at::Tensor cos;  // [positions, D/2] float32
  at::Tensor sin;  // [positions, D/2] float32
};

RotaryTable rotary_table(const Architecture& architecture, int64_t positions, at::Device device);

}  // namespace actsweep
