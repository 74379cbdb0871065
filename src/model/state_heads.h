// The state space of Mamba-2 (arXiv 2405.21060) as a mixer: the fused projection, the short
// convolution, the states, the gate, and the norm over each group's channels, where there is one.
// Ranks share the heads; a group's norm is summed over the ranks that have heads of it. Heads of no
// attention, so that nothing is shown of the inside.
#pragma once

#include <ATen/core/Tensor.h>

#include "checkpoint/architecture.h"
#include "comm/group.h"
#include "kernels/ops.h"
#include "model/mixer.h"
#include "weights/share.h"

namespace actsweep {

class StateHeads : public Mixer {
 public:
  /// All but the device must outlive the heads; `group` is the model group.
  StateHeads(const Architecture& architecture, const ModelShare& share, const Group& group,
             at::Device device);

  OutputWeights output() const override { return {Weight::kStateOutput, Weight::kStateOutputBias}; }
  int64_t wide_width() const override;
  int64_t out_width() const override { return channels_; }
  void run(const StageWeights& weights, const LayerView& view, const Sequences& sequences,
           MixerRows& rows) override;

 private:
  void project_in(const StageWeights& weights, MixerRows& rows) const;
  at::Tensor scan(const StageWeights& weights, const Sequences& sequences,
                  const at::Tensor& wide) const;
  void gate(const at::Tensor& wide, at::Tensor& out) const;
  void normalise(const StageWeights& weights, at::Tensor& out) const;
  void normalise_across(const StageWeights& weights, at::Tensor& out) const;

  const Architecture& a_;
  const StateFacts& s_;
  const ModelShare& share_;
  const Group& group_;
  int64_t heads_;     // of the rank
  int64_t channels_;  // of its heads, or of their gates
  int64_t shared_;    // channels of what writes its groups' states, or of what reads them
  bool norms_across_ranks_;
  const RowOps& ops_;  // of the device
};

/// Elements of a row of the projection of a rank's heads.
int64_t state_projection_width(const StateFacts& facts, const ModelShare& share);

/// Bytes that the state space takes beside the work space for `rows` gathered rows.
int64_t state_bytes(const Architecture& architecture, const ModelShare& share, int64_t rows,
                    int64_t positions);

}  // namespace actsweep
