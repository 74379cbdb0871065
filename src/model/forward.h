// The one forward pass: embedding, a layer, the loss - over the rows of one micro-batch that this
// rank owns.
//
// The residual stream is [rows, C] float32 on each rank, whole sequences of padded length T,
// sequence-major. Attention and MLP each gather the normed rows of the model group and scatter the
// sum of the ranks' partial outputs back.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>

#include "comm/group.h"
#include "model/attention.h"
#include "model/ops.h"
#include "model/rotary.h"
#include "model/share.h"
#include "model/stage.h"
#include "model/workspace.h"

namespace actsweep {

/// Copies the embeddings of `ids` [n] from the map into residual [n, C] float32 (host or device).
/// No communication.
void embed(const Checkpoint& checkpoint, std::span<const uint32_t> ids, at::Tensor& residual);

class Forward {
 public:
  struct Options {
    at::ScalarType dtype = at::kFloat;
    at::Device device = at::kCPU;
    int64_t owned_rows = 0;  // of the largest micro-batch
    int64_t positions = 0;   // of the longest window
  };

  /// `group` is the model group; it must outlive the pass.
  Forward(const Architecture& architecture, const Group& group, const Options& options);

  /// Collective over the model group. Takes residual [rows, C] through layer `layer` (0-based) in
  /// place; `positions` is T.
  void layer(const StageWeights& weights, int64_t layer, int64_t positions, at::Tensor& residual);

 private:
  void attention(const StageWeights& weights, int64_t layer, int64_t positions,
                 at::Tensor& residual);
  void mlp(const StageWeights& weights, at::Tensor& residual);
  at::Tensor reduce(int64_t rows);

  Architecture architecture_;
  const Group& group_;
  ModelShare share_;
  Workspace workspace_;
  RotaryTable rotary_;
};

}  // namespace actsweep
