// The buffers of experts: the rows of the micro-batches that pass a layer's stages together.
//
// Gathered rows on each rank: every rank adds up what its own experts give for all of them, so that
// a layer is scattered once however many stages it has.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "checkpoint/architecture.h"
#include "model/experts.h"

namespace actsweep {

class ExpertBlock {
 public:
  /// `members` ranks own the gathered rows.
  ExpertBlock(const Architecture& architecture, int64_t gathered_rows, int64_t members,
              const at::TensorOptions& options);

  /// The part of a micro-batch of `count` gathered rows, after `first` of others; not routed yet.
  ExpertRows rows(int64_t first, int64_t count) const;

 private:
  at::Tensor input_;   // [gathered rows, C] dtype
  at::Tensor sum_;     // [gathered rows, C] float32
  at::Tensor beside_;  // [owned rows, C] float32, or undefined
  int64_t members_;
};

/// Bytes of an ExpertBlock whose rows are routed; 0 where the architecture has no experts.
int64_t expert_block_bytes(const Architecture& architecture, int64_t gathered_rows, int64_t members,
                           at::ScalarType dtype);

}  // namespace actsweep
