// The gated delta rule (arXiv 2412.06464) as a mixer: the fused projection, the short convolution,
// the recurrence, the norm of each head's output and its gate. Heads of no attention, so that
// nothing is shown of the inside.
#pragma once

#include <ATen/core/Tensor.h>

#include "checkpoint/architecture.h"
#include "kernels/ops.h"
#include "model/mixer.h"
#include "weights/share.h"

namespace actsweep {

class DeltaHeads : public Mixer {
 public:
  /// Both must outlive the heads.
  DeltaHeads(const Architecture& architecture, const ModelShare& share, at::Device device);

  int64_t wide_width() const override;
  int64_t out_width() const override;
  void run(const StageWeights& weights, const LayerView& view, const Sequences& sequences,
           MixerRows& rows) override;

 private:
  at::Tensor convolve(const StageWeights& weights, const Sequences& sequences,
                      const at::Tensor& wide) const;
  at::Tensor recur(const StageWeights& weights, const Sequences& sequences,
                   const at::Tensor& wide) const;

  const Architecture& a_;
  const DeltaFacts& d_;
  int64_t heads_;      // key heads of the rank
  int64_t keys_;       // channels of their queries, or of their keys
  int64_t values_;     // channels of their values, or of the gates
  const RowOps& ops_;  // of the device
};

/// Elements of a row of the projection of `key_heads` key heads.
int64_t delta_projection_width(const DeltaFacts& facts, int64_t key_heads);

/// Bytes that the delta rule takes beside the work space for `rows` gathered rows.
int64_t delta_bytes(const Architecture& architecture, const ModelShare& share, int64_t rows,
                    int64_t positions);

}  // namespace actsweep
