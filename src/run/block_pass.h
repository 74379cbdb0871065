// One block through the model: the layer loop outside, the micro-batches inside.
//
// In: the labels of a block. Out: a tap for each layer and micro-batch, and the negative
// log-likelihoods where the loss is asked for. The residual stream of the block is all that is kept
// between layers.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>

#include "comm/group.h"
#include "model/expert_block.h"
#include "model/forward.h"
#include "model/image_embedding.h"
#include "plan/layout.h"
#include "probe/site_taps.h"
#include "run/block_labels.h"
#include "run/inputs.h"
#include "run/intervened_streams.h"
#include "weights/weight_store.h"

namespace actsweep {

/// Seconds by purpose, summed over a sweep on this rank.
struct PassTimes {
  double model_s = 0;       // products, attention and their communication
  double statistics_s = 0;  // listeners of taps
  double rows_s = 0;        // what follows a layer: gathering and queueing rows
};

class BlockPass {
 public:
  struct Listeners {
    SiteTaps::Listeners taps;
    /// Where it is not empty: before a micro-batch of the block passes a stage of a layer. Only
    /// that of a layer's first stage may be collective: ranks have different numbers of stages.
    std::function<void(size_t batch, const Stage& stage)> before_stage;
    /// Empty where no loss is asked for. [row_count] float32 on the host; NaN where a row has no
    /// target.
    std::function<void(const OwnedRows&, const at::Tensor& token_nll)> on_loss;
    /// Where it is not empty, variants are run: on_loss of each of them, variant by variant.
    std::function<void(size_t variant, const OwnedRows&, const at::Tensor& token_nll)>
        on_variant_loss;
    /// May be empty.
    InterventionListener on_intervention;
    /// Where it is not empty: after each micro-batch and layer but 0, the experts that each
    /// gathered row chose, [m * rows, chosen] int64, the most probable first, in rank order of the
    /// owners; undefined where the layer has none.
    std::function<void(int64_t layer, const at::Tensor& chosen)> on_experts;
    /// After each layer, 0 included, when all micro-batches have passed it. False ends the pass.
    std::function<bool(int64_t layer)> after_layer;
  };

  /// Loads resident weights: `on_loaded` is called after each stage of them.
  BlockPass(const SweepInputs& inputs, const Group& group, const SweepLayout& layout,
            at::Device device, const std::function<void(int64_t stage)>& on_loaded = {});

  /// Collective over the model group. `is_last`: no other block follows. Returns false where
  /// after_layer ended it.
  bool run(const BlockLabels& labels, bool is_last, const Listeners& listeners);

  const PassTimes& times() const { return times_; }
  double waited_for_weights_s() const { return store_.waited_s(); }

 private:
  at::Tensor rows_of(const at::Tensor& stream, const BlockLabels& labels, size_t batch) const;
  void embed_block(const BlockLabels& labels);
  void intervene(const BlockLabels& labels, int64_t layer, size_t batch,
                 const Listeners& listeners);
  void tap(const BlockLabels& labels, int64_t layer, size_t batch, const Listeners& listeners);
  void pass_layer(const BlockLabels& labels, int64_t layer, Share batches, bool is_last,
                  const Listeners& listeners, SiteTaps& taps);
  void pass_stage(const BlockLabels& labels, const Stage& stage, int64_t batch, ExpertRows& experts,
                  const StageWeights& weights, const Listeners& listeners, SiteTaps& taps);
  void pass_variant(const BlockLabels& labels, const Stage& stage, int64_t batch, size_t variant,
                    ExpertRows& experts, const StageWeights& weights, const Listeners& listeners);
  std::vector<ExpertRows> expert_rows(const BlockLabels& labels, Share batches,
                                      size_t streams) const;
  std::optional<int64_t> next_stage(int64_t stage, bool is_last) const;
  void pass_head(const BlockLabels& labels, bool is_last, const Listeners& listeners);
  void tap_final_norm(const BlockLabels& labels, size_t batch, const StageWeights& head,
                      const Listeners& listeners);
  at::Tensor nll_of(const StageWeights& head, const OwnedRows& own, const at::Tensor& rows);
  bool end_layer(int64_t layer, const Listeners& listeners);

  const SweepInputs& inputs_;
  const Group& group_;
  at::Device device_;
  WeightStore store_;
  Forward forward_;
  std::optional<ImageEmbedding> image_embedding_;  // where the corpus has images
  std::optional<ExpertBlock> experts_;             // where the model has them
  at::Tensor residual_;                            // [rows of the largest block, C] float32
  std::optional<IntervenedStreams> intervened_;    // where the job has interventions
  PassTimes times_;
};

}  // namespace actsweep
