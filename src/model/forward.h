// The one forward pass over a layer, stage by stage, for the rows of one micro-batch that this rank
// owns.
//
// The residual stream is [rows, C] float32 on each rank, whole sequences of padded length T,
// sequence-major. Attention and MLP each gather the normed rows of the model group and scatter the
// sum of the ranks' partial outputs back; where a block is parallel, both do so together.
#pragma once

#include <ATen/core/Tensor.h>

#include "comm/group.h"
#include "kernels/ops.h"
#include "model/experts.h"
#include "model/mixers.h"
#include "model/workspace.h"
#include "weights/share.h"
#include "weights/stage.h"

namespace actsweep {

class Forward {
 public:
  struct Options {
    at::ScalarType dtype = at::kFloat;
    at::Device device = at::kCPU;
    int64_t owned_rows = 0;  // of the largest micro-batch
    int64_t positions = 0;   // of the longest window
    PatchGrid grid = {};     // of its patches, where the model reads images
  };

  /// `group` is the model group; it must outlive the pass.
  Forward(const Architecture& architecture, const Group& group, const Options& options);
  Forward(const Forward&) = delete;
  Forward& operator=(const Forward&) = delete;

  /// Collective over the model group where the stage is a layer's first or last. Takes residual
  /// [rows, C] through the stage in place; `owned` are its sequences, each with its length (1 for a
  /// padding sequence). `experts` are its rows, gathered in rank order of the owners, from the
  /// first to the last stage of a layer with experts. `observer` sees what it wants of the layer's
  /// inside. `layer_inputs` [rows, P] in the dtype: the layer's own, at its last stage.
  void stage(const Stage& stage, const StageWeights& weights, const Sequences& owned,
             at::Tensor& residual, ExpertRows& experts, LayerObserver* observer = nullptr,
             const at::Tensor& layer_inputs = {});

 private:
  void serial_block(const StageWeights& weights, const LayerView& view, const Sequences& sequences,
                    at::Tensor& residual, ExpertRows& experts);
  void parallel_block(const StageWeights& weights, const LayerView& view,
                      const Sequences& sequences, at::Tensor& residual, ExpertRows& experts);
  void choose_experts(const StageWeights& weights, const LayerView& view,
                      const at::Tensor& gathered, ExpertRows& experts) const;
  void part_experts(const StageWeights& weights, const LayerView& view, const at::Tensor& residual,
                    ExpertRows& experts);
  void end_layer(const StageWeights& weights, const LayerView& view, at::Tensor& residual,
                 ExpertRows& experts);
  void add_layer_inputs(const StageWeights& weights, const at::Tensor& inputs,
                        at::Tensor& residual) const;
  void write_input(const StageWeights& weights, Weight norm, const at::Tensor& residual);
  at::Tensor gather(int64_t rows);
  /// What was written, once the observer has changed and seen it.
  at::Tensor show_and_gather(const LayerView& view, Site site, int64_t rows);
  at::Tensor mix(Mixer& mixer, const StageWeights& weights, const LayerView& view,
                 const Sequences& sequences, const at::Tensor& gathered, int64_t behind = 0);
  void add_beside(const StageWeights& weights, const LayerView& view, const Sequences& sequences,
                  const at::Tensor& gathered, at::Tensor& residual);
  at::Tensor mixer_output(const StageWeights& weights, const LayerView& view,
                          const Sequences& sequences, at::Tensor& residual);
  void write_mlp_input(const StageWeights& weights, const at::Tensor& mixed, at::Tensor& residual);
  void add_mixed(const StageWeights& weights, const at::Tensor& mixed, at::Tensor& residual);
  void project_heads(const StageWeights& weights, const OutputWeights& output,
                     const at::Tensor& heads_out, int64_t rows);
  at::Tensor hidden(const StageWeights& weights, const LayerView& view, const at::Tensor& gathered,
                    int64_t rows);
  void project_mlp(const StageWeights& weights, const LayerView& view, const at::Tensor& gathered,
                   int64_t rows, ExpertRows& experts);
  at::Tensor reduce(int64_t rows);
  struct Branch;
  /// residual += what a branch adds.
  void add_scaled(const at::Tensor& sum, double scale, at::Tensor& residual) const;
  void add_branch(const StageWeights& weights, const Branch& branch, const at::Tensor& sum,
                  at::Tensor& residual);
  /// Of all members of the group, in rank order.
  std::vector<int64_t> of_all(const std::vector<int64_t>& owned) const;
  Sequences all_sequences(const Sequences& owned) const;
  at::Tensor bias_once(const StageWeights& weights, Weight bias) const;

  Architecture architecture_;
  const Group& group_;
  ModelShare share_;
  at::Device device_;
  const RowOps& ops_;  // of the device
  Workspace workspace_;
  Mixers mixers_;
  bool needs_lengths_ = false;
};

}  // namespace actsweep
