// Softmax attention up to its heads' outputs: the fused projection, its norms and clip, positions,
// attention, the gate of its output.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>

#include "checkpoint/architecture.h"
#include "comm/group.h"
#include "kernels/attention.h"
#include "kernels/ops.h"
#include "kernels/rotary.h"
#include "model/mixer.h"
#include "weights/share.h"

namespace actsweep {

class AttentionHeads : public Mixer {
 public:
  /// `group` is the model group; it and the others must outlive the heads.
  AttentionHeads(const Architecture& architecture, const ModelShare& share, const Group& group,
                 const MixerOptions& options);

  /// Of the fused projection.
  int64_t wide_width() const override;
  int64_t out_width() const override;

  /// Collective where norms go over all heads.
  void run(const StageWeights& weights, const LayerView& view, const Sequences& sequences,
           MixerRows& rows) override;

 private:
  void project_qkv(const StageWeights& weights, const at::Tensor& rows, at::Tensor& qkv) const;
  int64_t keys_in(const at::Tensor& qkv) const;
  void exchange_keys(const at::Tensor& made, const Sequences& sequences, at::Tensor& qkv) const;
  void scale_keys(at::Tensor& qkv) const;
  void show_unrotated(const LayerView& view, const at::Tensor& qkv) const;
  void normalise(const StageWeights& weights, at::Tensor& qkv) const;
  void normalise_all_heads(const StageWeights& weights, at::Tensor& qkv) const;
  at::Tensor gate(const StageWeights& weights, const MixerRows& rows) const;
  void rotate(int64_t layer, const Sequences& sequences, at::Tensor& qkv);
  void grow_queries(int64_t layer, int64_t positions, at::Tensor& qkv) const;
  ScoreFacts scores_of(const StageWeights& weights, int64_t layer) const;

  const Architecture& a_;
  const ModelShare& share_;
  const Group& group_;
  const RowOps& ops_;  // of the device
  RotaryTables rotary_;
  at::Tensor key_bias_;  // [query heads, longest window] float32 or undefined
};

}  // namespace actsweep
