// Projectors: what makes rows of a language model of the rows that a tower leaves of an image.
//
// In: a config.json of several parts, and the facts of its tower. Out: which rows of the tower are
// taken, how patches are brought together, the products behind that and their tensor rows. Refuses
// (kModel) a model whose way from images to text is not known, by name.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "checkpoint/architecture.h"
#include "checkpoint/config.h"
#include "checkpoint/tensor_rows.h"
#include "checkpoint/wrapper.h"

namespace actsweep {

struct ProjectorFacts {
  int64_t channels = 0;           // of the language model
  int64_t tower_layers = 0;       // that images pass; the rows behind them are taken
  bool takes_final_norm = false;  // behind the tower's norm, where it has one
  int64_t left_out = 0;           // first rows of each image: class tokens
  // So many patches in each direction become one token:
  int64_t merged = 1;  // their channels side by side, row by row
  int64_t pooled = 1;  // the mean of their channels
  int64_t width = 0;   // channels of such a token: those of the tower, times merged patches
  std::optional<NormFacts> norm = {};  // of these
  bool has_bias = true;
  bool has_two_products = true;  // with the activation between them; else one alone
  Activation activation = Activation::kGelu;
  bool sees_images_whole = false;    // tokens of one image see each other in the language model
  bool is_of_one_size = true;        // images are of the tower's size, and of no other
  std::vector<TensorRow> rows = {};  // by their own names

  /// Tokens of text that stand for an image of which the tower makes `tower_tokens`.
  int64_t tokens_of(int64_t tower_tokens) const {
    return (tower_tokens - left_out) / (merged * merged * pooled * pooled);
  }
};

/// Of what `part` is part of, whose whole config.json is `whole`.
ProjectorFacts read_projector(const ModelPart& part, const Config& whole,
                              const Architecture& tower);

/// Leaves a tower those layers and rows that features come of. The rows without a layer that it
/// loses are returned.
std::vector<TensorRow> cut_tower(const ProjectorFacts& projector, Architecture& tower,
                                 std::vector<TensorRow>& rows);

}  // namespace actsweep
