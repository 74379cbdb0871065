// Tensor rows: which tensor of a checkpoint becomes which part of which weight, and along which
// axis ranks cut it.
//
// A family lists its rows once, as data. Loading loops over them and proves that each checkpoint
// tensor was used exactly once or is on the family's ignore list. A row whose name holds "{}"
// exists once per layer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace actsweep {

/// The weights of the forward pass. A fused weight consists of parts, in the order of their
/// numbers.
enum class Weight {
  kAttentionNorm,    // [C]
  kQkv,              // [(Hq + 2 Hkv) D, C] of this rank: part 0 query, 1 key, 2 value
  kQkvBias,          // [(Hq + 2 Hkv) D]
  kAttentionOutput,  // [C, Hq D]
  kAttentionOutputBias,
  kMlpNorm,     // [C]
  kGateUp,      // [2 F, C] of this rank: part 0 gate, 1 up
  kGateUpBias,  // [2 F]
  kDown,        // [C, F]
  kDownBias,
  kFinalNorm,  // [C]
  kHead,       // [V, C] of this rank
  kEmbedding,  // [V, C], gathered from the map, never loaded
};
inline constexpr int kWeights = 13;

/// Which units of an axis a rank holds.
enum class Cut { kNone, kQueryHeads, kKeyHeads, kFeedForward, kVocabulary };

struct TensorRow {
  std::string name;  // "model.layers.{}.mlp.up_proj.weight"
  Weight weight;
  int part = 0;
  Cut cut = Cut::kNone;
  int cut_axis = 0;
  std::vector<int64_t> shape;  // in the checkpoint

  bool is_per_layer() const { return name.find("{}") != std::string::npos; }
};

/// The name of a row's tensor in layer `layer` (0-based).
std::string tensor_name(const TensorRow& row, int64_t layer);

}  // namespace actsweep
