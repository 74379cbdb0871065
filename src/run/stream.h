// A residual stream of a block: its rows, what changes them, who listens.
//
// The original is the model with the interventions that name no variant. A variant has its own
// beside them, in the order of the job. Its stream begins behind the lowest layer at which one of
// its own applies, or before it where that applies inside, with the rows that the original has
// there; before, it is the original's.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "model/expert_block.h"
#include "model/kept_keys.h"
#include "probe/site_taps.h"
#include "probe/stream_interventions.h"
#include "run/block_labels.h"

namespace actsweep {

/// One micro-batch's rows behind a layer.
struct LayerRows {
  int64_t layer = 0;  // 0: the embedding's output
  const OwnedRows& labels;
  at::Tensor rows;  // [labels.row_count(), C] float32, owned rows
};

class Stream {
 public:
  /// Each may be empty.
  struct Listeners {
    SiteTaps::Listeners taps;
    /// Before a micro-batch of the block passes a stage of a layer. Only that of a layer's first
    /// stage may be collective: ranks have different numbers of stages.
    std::function<void(size_t batch, const Stage& stage)> before_stage;
    /// After each micro-batch and layer, 0 included: the experts that each gathered row chose, the
    /// most probable first, in rank order of the owners; without tensors where the layer has none.
    std::function<void(size_t batch, int64_t layer, const Routing& routing)> on_experts;
    StreamInterventions::OnChange on_intervention;
    /// [row_count] float32 on the host; NaN where a row has no target.
    std::function<void(const OwnedRows&, const at::Tensor& token_nll)> on_loss;
    /// [windows, classes] float32 on the host: what a classifier says of the images.
    std::function<void(const OwnedRows&, const at::Tensor& logits)> on_logits;
  };

  /// `rows` [rows of the largest block, C] float32. `experts`: where the model has experts, room
  /// for the micro-batches that pass the stages of a layer together. `keys`: room for those of the
  /// largest block.
  Stream(int64_t first_layer, StreamInterventions interventions, at::Tensor rows,
         std::optional<ExpertBlock> experts, KeptKeys keys);

  /// From here on these listen, and no others. The architecture and the model group must outlive
  /// the listening.
  void listen(const Listeners& listeners, const Architecture& architecture, const Group& group);
  const Listeners& listeners() const { return listeners_; }
  /// Of the inside of layers. Someone must listen.
  SiteTaps& taps() { return *taps_; }

  /// The layer behind which it begins; 0: at the embedding's output.
  int64_t first_layer() const { return first_layer_; }
  int64_t row_count() const { return rows_.size(0); }  // of the largest block
  at::Tensor rows_of(const BlockLabels& labels, size_t batch) const;
  /// Begins a variant: takes the original's rows.
  void copy_rows(const Stream& original, const BlockLabels& labels, size_t batch);

  /// Keys and values of a micro-batch, in a model group of `members`, that a layer (0-based) gives
  /// to others or takes; undefined where it does neither. Those of a layer that this stream does
  /// not pass are the original's.
  at::Tensor keys_of(int64_t layer, const BlockLabels& labels, size_t batch, int64_t members,
                     const Stream& original) const;

  /// Makes room for the experts of micro-batches that pass the stages of the next layer together,
  /// in a model group of `members`.
  void begin_layer(const BlockLabels& labels, Share batches, int64_t members);
  /// Of a micro-batch among those.
  ExpertRows& experts_of(int64_t batch) { return expert_rows_[batch - batches_.begin]; }

  /// Collective over the model group. Overwrites what the stream's interventions choose between
  /// layers, and tells the listener.
  void intervene(LayerRows behind, const Group& group) const;
  /// The weights that the stream's interventions choose in a layer (0-based), while the result
  /// lives; `neurons` are this rank's.
  ChangedWeights change_weights(int64_t layer, const OwnedRows& labels, const StageWeights& weights,
                                Share neurons) const;

 private:
  int64_t first_layer_;
  StreamInterventions interventions_;
  at::Tensor rows_;
  std::optional<ExpertBlock> experts_;
  KeptKeys keys_;
  Share batches_;                        // that pass a layer together
  std::vector<ExpertRows> expert_rows_;  // as many; empty ones where the model has no experts
  Listeners listeners_;
  std::optional<SiteTaps> taps_;
};

/// How much a stream of each block holds on this rank.
struct StreamRoom {
  int64_t rows = 0;           // of the largest block
  int64_t gathered_rows = 0;  // of the micro-batches that pass the stages of a layer together
  int64_t members = 1;        // of the model group
  at::TensorOptions options;  // the device, and the dtype of the layers' inside
};

/// The original, then the variants of the job in their order. `interventions`: the job's, in order.
std::vector<Stream> make_streams(const Job& job, const std::vector<Intervention>& interventions,
                                 const Architecture& architecture, const ModelShare& share,
                                 const StreamRoom& room);

}  // namespace actsweep
