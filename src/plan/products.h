// Floating-point operations: matrix products, attention and what stands in its place. Pure
// arithmetic.
//
// An addition and a multiplication are two operations. Counted is what the program computes: of
// causal attention the keys that a query sees, of experts the chosen ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/demand.h"
#include "weights/share.h"

namespace actsweep {

/// A product of rows with a weight [out, in]; `per_token` of them are taken for each token.
struct LayerProduct {
  int64_t in = 0;
  int64_t out = 0;
  double per_token = 1;

  double operations() const {
    return 2 * per_token * static_cast<double>(in) * static_cast<double>(out);
  }
};

/// Those of a layer (0-based) on the rank that holds `share`; those of experts
/// by the share of tokens that choose one.
std::vector<LayerProduct> layer_products(const Architecture& architecture,
                                         const std::vector<TensorRow>& rows,
                                         const ModelShare& share, int64_t layer);
/// Keys that a query of a whole window sees in this layer, on average.
double keys_seen(const Architecture& architecture, int64_t layer, int64_t length);
/// Operations of one token of the rank's heads in a layer: scores and sums of values, or reading
/// and writing of states, or a convolution.
double mixer_operations(const Architecture& architecture, const ModelShare& share, int64_t layer,
                        int64_t length);
/// Whether these are ATen's operators on float32 rows rather than attention's kernels.
bool is_recurrent(MixerKind kind);

/// The layer behind which the lowest of a variant's interventions applies: its stream differs from
/// the original's from there on.
int64_t first_layer_of(const Job& job, const std::string& variant);
/// Streams that pass through a layer: the original and the variants that differ from it there.
double streams_at(const Job& job, int64_t layer);

/// One token's way through all layers, streams counted.
struct TokenOperations {
  double products = 0;
  double attention = 0;
  double recurrence = 0;  // of mixers other than attention
  double head = 0;        // logits

  double sum() const { return products + attention + recurrence + head; }
};

TokenOperations token_operations(const SweepFacts& facts, const ModelShare& share);

/// Operations of one image's way through the tower of images in text; 0 where there is none. The
/// projector has few, and is not counted.
double image_operations(const SweepFacts& facts);

/// Floating-point operations of the whole sweep.
double sweep_operations(const SweepFacts& facts);

}  // namespace actsweep
