// One block through the model: the layer loop outside, then the stages, the streams and the
// micro-batches.
//
// In: the labels of a block, and who listens to which stream. Out: what the listeners hear. The
// residual streams of the block are all that is kept between layers.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "comm/group.h"
#include "model/forward.h"
#include "plan/layout.h"
#include "run/block_embedding.h"
#include "run/block_labels.h"
#include "run/inputs.h"
#include "run/pass_clock.h"
#include "run/stream.h"
#include "weights/weight_store.h"

namespace actsweep {

class BlockPass {
 public:
  struct Listeners {
    /// Of the original, and of the variants that are to run: the first ones, in the job's order.
    std::vector<Stream::Listeners> streams;
    /// After each layer, 0 included, when all micro-batches have passed it. False ends the pass.
    std::function<bool(int64_t layer)> after_layer;
    /// Before each micro-batch of each stage. May be empty.
    std::function<void(int64_t layer, int64_t batch)> on_batch = {};
  };

  /// Loads resident weights: `on_loaded` is called after each stage of them.
  BlockPass(const SweepInputs& inputs, const Group& group, const SweepLayout& layout,
            at::Device device, const std::function<void(int64_t stage)>& on_loaded = {});

  /// Whether no other block follows. Collective over the model group.
  using IsLast = std::function<bool()>;

  /// Collective over the model group. `is_last` is asked once, as late as can be, where weights are
  /// streamed. Returns false where after_layer ended it.
  bool run(const BlockLabels& labels, const IsLast& is_last, const Listeners& listeners);

  PassClock& clock() { return clock_; }
  double waited_for_weights_s() const { return store_.waited_s(); }

 private:
  struct Block {
    const BlockLabels& labels;
    const IsLast& is_last;
    std::span<Stream> streams;  // that run
    const std::function<void(int64_t layer, int64_t batch)>& on_batch;

    void begin(int64_t layer, size_t batch) const {
      if (on_batch) on_batch(layer, static_cast<int64_t>(batch));
    }
  };

  Block listen(const BlockLabels& labels, const IsLast& is_last, const Listeners& listeners);
  void embed(const Block& block);
  void pass_layer(const Block& block, int64_t layer);
  void pass_stage(const Block& block, int64_t place, Share batches);
  void pass_batch(const Block& block, Stream& stream, size_t batch, const Stage& stage,
                  const StageWeights& weights);
  ChangedWeights change_weights(const Stream& stream, const OwnedRows& own, const Stage& stage,
                                const StageWeights& weights) const;
  void end_layer(const Block& block, Stream& stream, int64_t layer, size_t batch);
  void change_and_show(const Block& block, Stream& stream, int64_t layer, size_t batch);
  void pass_head(const Block& block);
  void show(const Stream& stream, const Tap& tap);
  at::Tensor nll_of(const StageWeights& head, const OwnedRows& own, const at::Tensor& rows);
  at::Tensor logits_of(const StageWeights& head, const OwnedRows& own, const at::Tensor& rows);
  std::optional<int64_t> next_stage(int64_t stage, const IsLast& is_last) const;

  const SweepInputs& inputs_;
  const Group& group_;
  at::Device device_;
  ModelShare share_;
  WeightStore store_;
  Forward forward_;
  BlockEmbedding embedding_;
  std::vector<Stream> streams_;  // the original, then the job's variants
  PassClock clock_;
};

}  // namespace actsweep
