// Rotary position embedding (arXiv 2104.09864): the tables of cosines and sines.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <utility>
#include <vector>

#include "checkpoint/architecture.h"

namespace actsweep {

/// Angular frequency of each pair of a head's rotated channels, [width / 2], for a sequence of
/// `length` positions; of a rope of patches per unit of their coordinates (DINOv3, arXiv
/// 2508.10104). Scalings as transformers' ROPE_INIT_FUNCTIONS: llama3 follows Meta's
/// released Llama 3.1 code, yarn arXiv 2309.00071, longrope arXiv 2402.13753.
std::vector<double> rotary_frequencies(const Rope& rope, int64_t length);

struct RotaryTable {
  at::Tensor cos;  // [positions, width / 2] float32
  at::Tensor sin;  // [positions, width / 2] float32
  bool is_interleaved = false;
};

/// The tables that a model's layers and sequences need, made when first asked for.
/// Where the patches of an image stand: row by row behind its other tokens.
struct PatchGrid {
  int64_t first = 0;  // position of the first patch
  int64_t rows = 0;
  int64_t columns = 0;
};

class RotaryTables {
 public:
  /// `positions`: of the longest window. `grid`: of its patches, where a rope is of patches.
  RotaryTables(const Architecture& architecture, int64_t positions, at::Device device,
               const PatchGrid& grid = {});

  /// The table of a rope for a sequence of `length` positions.
  const RotaryTable& table(int rope, int64_t length);

 private:
  std::vector<Rope> ropes_;
  int64_t positions_;
  at::Device device_;
  PatchGrid grid_;
  std::map<std::pair<int, int64_t>, RotaryTable> tables_;  // by rope and length class
};

}  // namespace actsweep
