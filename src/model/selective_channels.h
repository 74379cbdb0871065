// The selective state space of Mamba (arXiv 2312.00752) as a mixer: the projection, the short
// convolution, the narrow rows that time steps are made of and that write and read states, the
// scan, the gate. Ranks share the channels; a narrow row is the sum over all of them. Nothing is
// shown of the inside.
#pragma once

#include <ATen/core/Tensor.h>

#include "checkpoint/architecture.h"
#include "comm/group.h"
#include "kernels/ops.h"
#include "model/mixer.h"
#include "weights/share.h"

namespace actsweep {

class SelectiveChannels : public Mixer {
 public:
  /// All but the device must outlive the mixer; `group` is the model group.
  SelectiveChannels(const Architecture& architecture, const ModelShare& share, const Group& group,
                    at::Device device);

  int64_t wide_width() const override { return 2 * channels_; }
  int64_t out_width() const override { return channels_; }
  void run(const StageWeights& weights, const LayerView& view, const Sequences& sequences,
           MixerRows& rows) override;

 private:
  at::Tensor select(const StageWeights& weights, const at::Tensor& convolved,
                    const at::TensorOptions& options) const;
  at::Tensor part(const StageWeights& weights, Weight norm, const at::Tensor& narrow, int64_t first,
                  int64_t width) const;
  at::Tensor steps(const StageWeights& weights, const at::Tensor& narrow,
                   const at::TensorOptions& options) const;

  const SelectiveFacts& s_;
  const Group& group_;
  int64_t channels_;   // of the rank
  const RowOps& ops_;  // of the device
};

/// Bytes that the scan takes beside the work space for `rows` gathered rows.
int64_t selective_bytes(const Architecture& architecture, const ModelShare& share, int64_t rows);

}  // namespace actsweep
