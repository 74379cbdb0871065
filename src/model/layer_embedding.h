// The inputs that each layer has of its own (Gemma 4's per-layer embeddings): a row of a table for
// each token, and what is projected of its embedding.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "checkpoint/checkpoint.h"
#include "job/job.h"

namespace actsweep {

class LayerEmbedding {
 public:
  /// For blocks of so many rows. The checkpoint must outlive it, and its layers have inputs of their
  /// own.
  LayerEmbedding(const Checkpoint& checkpoint, int64_t rows, Dtype dtype, at::Device device);

  /// Keeps rows [n, C] of a block as they are embedded, after `first` of others.
  void keep(int64_t first, const at::Tensor& embedded);
  /// [n, P] in the dtype, of a layer (0-based): (norm(W x / sqrt(C)) + sqrt(P) table[id]) / sqrt(2)
  /// for tokens `ids` [n] whose x are the kept rows after `first`. No communication.
  at::Tensor of(int64_t layer, std::span<const uint32_t> ids, int64_t first);

 private:
  void load(int64_t layer);

  const Architecture& a_;
  at::TensorOptions options_;  // of what is projected
  at::Tensor table_;           // [V, L P] over the map; so is the next
  at::Tensor projections_;     // [L P, C]
  at::Tensor norm_;            // [P] float32
  at::Tensor embedded_;        // [rows of the largest block, C]
  at::Tensor projection_;      // [P, C] of the layer before
  int64_t layer_ = -1;
};

/// Bytes of what is kept of a block of `block_rows`, and of what is made for a micro-batch of `rows`.
int64_t layer_embedding_bytes(const Architecture& architecture, int64_t block_rows, int64_t rows,
                              at::ScalarType dtype);

}  // namespace actsweep
