#include "run/block_pass.h"

#include <ATen/ATen.h>

#include <chrono>
#include <limits>

#include "base/error.h"
#include "model/embedding.h"
#include "model/loss.h"
#include "model/norms.h"

namespace actsweep {
namespace {

/// Adds the seconds of a scope to a sum.
class Timer {
 public:
  explicit Timer(double& sum_s) : sum_s_(sum_s), start_(std::chrono::steady_clock::now()) {}
  ~Timer() {
    sum_s_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

 private:
  double& sum_s_;
  std::chrono::steady_clock::time_point start_;
};

Forward::Options forward_options(const SweepInputs& inputs, const SweepLayout& layout,
                                 at::Device device) {
  int64_t rows =
      inputs.segments.windows_per_microbatch / layout.members * inputs.job.corpus.sequence_length;
  int64_t positions = inputs.job.corpus.sequence_length;
  for (const auto& [name, prompt] : inputs.prompts) {
    rows = std::max(rows, static_cast<int64_t>(prompt.ids.size()));
    positions = std::max(positions, static_cast<int64_t>(prompt.ids.size()));
  }
  return {scalar_type(inputs.job.model.dtype), device, rows, positions};
}

bool is_streamed(const SweepInputs& inputs) {
  return inputs.job.parallel.weights == WeightMode::kStreamed;
}

/// The sequences that this rank owns; a padding sequence counts as one position.
Sequences sequences_of(const OwnedRows& labels) {
  Sequences sequences{labels.padded_length, std::vector<int64_t>(labels.padded_sequences, 1)};
  for (size_t i = 0; i < labels.windows.size(); ++i) {
    sequences.length[i] = labels.windows[i].length();
  }
  return sequences;
}

/// The pixels of the images that this rank owns; null for a padding sequence.
std::vector<const float*> pixels_of(const ImageFile& images, const OwnedRows& labels) {
  std::vector<const float*> pixels(labels.padded_sequences, nullptr);
  for (size_t i = 0; i < labels.windows.size(); ++i) {
    pixels[i] = images.pixels(labels.document[i * labels.padded_length]);
  }
  return pixels;
}

/// The next token's id for each row, and 0 with a mark where there is none.
/// A model's sink token, in row 0 where it has one, predicts nothing.
at::Tensor targets_of(const OwnedRows& labels, bool has_sink, at::Tensor& has_target) {
  const auto targets = at::zeros({labels.row_count()}, at::kLong);
  has_target = at::zeros({labels.row_count()}, at::kBool);
  auto* target = targets.mutable_data_ptr<int64_t>();
  auto* mark = has_target.mutable_data_ptr<bool>();
  for (size_t i = 0; i < labels.windows.size(); ++i) {
    const auto first = static_cast<int64_t>(i) * labels.padded_length;
    for (int64_t p = first + (has_sink ? 1 : 0); p + 1 < first + labels.windows[i].length(); ++p) {
      target[p] = labels.token_id[p + 1];
      mark[p] = true;
    }
  }
  return targets;
}

}  // namespace

BlockPass::BlockPass(const SweepInputs& inputs, const Group& group, const SweepLayout& layout,
                     at::Device device, const std::function<void(int64_t stage)>& on_loaded)
    : inputs_(inputs),
      group_(group),
      device_(device),
      store_(inputs.checkpoint,
             share_of(inputs.checkpoint.architecture(), group.size(), group.rank()),
             {inputs.job.model.dtype, inputs.job.parallel.weights, inputs.job.needs_head(), device,
              on_loaded}),
      forward_(inputs.checkpoint.architecture(), group, forward_options(inputs, layout, device)) {
  if (inputs.images != nullptr) {
    image_embedding_.emplace(inputs.checkpoint, inputs.images->height(), inputs.images->width());
  }
  const auto options = forward_options(inputs, layout, device);
  const int64_t block_rows =
      layout.block_windows / layout.members * inputs.job.corpus.sequence_length;
  const auto& architecture = inputs.checkpoint.architecture();
  const auto on_device = at::TensorOptions().device(device);
  residual_ = at::empty({std::max(block_rows, options.owned_rows), architecture.channels},
                        on_device.dtype(at::kFloat));
  if (!inputs.job.interventions.empty()) intervened_.emplace(inputs, residual_);
  if (architecture.experts.count > 0) {
    const int64_t rows = is_streamed(inputs) ? residual_.size(0) : options.owned_rows;
    const auto streams = 1 + static_cast<int64_t>(inputs.job.variants().size());
    experts_.emplace(streams * rows * group.size(), architecture.channels,
                     on_device.dtype(options.dtype));
  }
}

at::Tensor BlockPass::rows_of(const at::Tensor& stream, const BlockLabels& labels,
                              size_t batch) const {
  return stream.narrow(0, labels.first_row(batch), labels.own[batch].row_count());
}

void BlockPass::embed_block(const BlockLabels& labels) {
  const Timer timer(times_.model_s);
  ensure(labels.row_count() <= residual_.size(0), "a block fits the residual stream");
  for (size_t batch = 0; batch < labels.own.size(); ++batch) {
    auto rows = rows_of(residual_, labels, batch);
    const auto& own = labels.own[batch];
    if (image_embedding_) {
      image_embedding_->embed(pixels_of(*inputs_.images, own), rows);
    } else {
      embed(inputs_.checkpoint, own.token_id, own.padded_length, rows);
    }
  }
}

void BlockPass::tap(const BlockLabels& labels, int64_t layer, size_t batch,
                    const Listeners& listeners) {
  if (!listeners.taps.wants(Site::kResidual)) return;
  const Timer timer(times_.statistics_s);
  listeners.taps.on_tap(
      {Site::kResidual, layer, rows_of(residual_, labels, batch), labels.own[batch]});
}

void BlockPass::intervene(const BlockLabels& labels, int64_t layer, size_t batch,
                          const Listeners& listeners) {
  if (!intervened_) return;
  const Timer timer(times_.model_s);
  const LayerRows original{layer, labels.own[batch], rows_of(residual_, labels, batch)};
  if (listeners.on_variant_loss) {
    intervened_->leave_and_change(original, labels.first_row(batch), listeners.on_intervention);
  } else {
    intervened_->change_original(original, listeners.on_intervention);
  }
}

bool BlockPass::end_layer(int64_t layer, const Listeners& listeners) {
  const Timer timer(times_.rows_s);
  return listeners.after_layer(layer);
}

void BlockPass::tap_final_norm(const BlockLabels& labels, size_t batch, const StageWeights& head,
                               const Listeners& listeners) {
  const auto rows = rows_of(residual_, labels, batch);
  auto normed = at::empty_like(rows);
  const auto norm = norm_of(inputs_.checkpoint.architecture(), head, Weight::kFinalNorm);
  row_ops_of(device_).normalise(rows, norm, normed);
  const Timer timer(times_.statistics_s);
  listeners.taps.on_tap({Site::kFinalNorm, 0, normed, labels.own[batch]});
}

at::Tensor BlockPass::nll_of(const StageWeights& head, const OwnedRows& own,
                             const at::Tensor& rows) {
  const Timer timer(times_.model_s);
  const auto& architecture = inputs_.checkpoint.architecture();
  at::Tensor has_target;
  const auto targets = targets_of(own, architecture.has_sink_token, has_target).to(device_);
  auto nll = token_nll(architecture, head, rows, targets, group_);
  return nll.masked_fill_(has_target.logical_not(), std::numeric_limits<float>::quiet_NaN());
}

/// What stands behind the last layer.
void BlockPass::pass_head(const BlockLabels& labels, bool is_last, const Listeners& listeners) {
  const int64_t stage = store_.stages_of(inputs_.checkpoint.architecture().layers).begin;
  const auto& head = store_.acquire(stage, next_stage(stage, is_last));
  for (size_t batch = 0; batch < labels.own.size(); ++batch) {
    if (listeners.taps.wants(Site::kFinalNorm)) tap_final_norm(labels, batch, head, listeners);
    if (!listeners.on_loss) continue;
    const auto& own = labels.own[batch];
    listeners.on_loss(own, nll_of(head, own, rows_of(residual_, labels, batch)));
  }
  if (!listeners.on_variant_loss) return;
  for (size_t variant = 0; variant < intervened_->variants(); ++variant) {
    for (size_t batch = 0; batch < labels.own.size(); ++batch) {
      const auto& own = labels.own[batch];
      const auto rows = rows_of(intervened_->stream(variant), labels, batch);
      listeners.on_variant_loss(variant, own, nll_of(head, own, rows));
    }
  }
}

/// The stage to read while `stage` computes. `is_last`: no other block follows.
std::optional<int64_t> BlockPass::next_stage(int64_t stage, bool is_last) const {
  const auto stages = static_cast<int64_t>(store_.stages().size());
  if (stage + 1 < stages) return stage + 1;
  return is_last ? std::nullopt : std::optional<int64_t>(0);
}

/// Room for the experts of micro-batches that pass the stages of a layer together, [stream of the
/// block][micro-batch].
std::vector<ExpertRows> BlockPass::expert_rows(const BlockLabels& labels, Share batches,
                                               size_t streams) const {
  std::vector<ExpertRows> all(streams * batches.size());
  if (!experts_) return all;
  int64_t first = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const auto batch = batches.begin + static_cast<int64_t>(i) % batches.size();
    const int64_t count = labels.own[batch].row_count() * group_.size();
    all[i] = experts_->rows(first, count);
    first += count;
  }
  return all;
}

/// One micro-batch of the original through one stage.
void BlockPass::pass_stage(const BlockLabels& labels, const Stage& stage, int64_t batch,
                           ExpertRows& experts, const StageWeights& weights,
                           const Listeners& listeners, SiteTaps& taps) {
  const auto& own = labels.own[batch];
  auto rows = rows_of(residual_, labels, batch);
  if (listeners.before_stage) listeners.before_stage(batch, stage);
  taps.begin(own);
  {
    const Timer timer(times_.model_s);
    forward_.stage(stage, weights, sequences_of(own), rows, experts, &taps);
  }
  if (!stage.is_last) return;
  taps.end(stage.layer);
  if (listeners.on_experts) listeners.on_experts(stage.layer + 1, experts.routing.expert);
  intervene(labels, stage.layer + 1, batch, listeners);
  tap(labels, stage.layer + 1, batch, listeners);
}

/// One micro-batch of a variant through one stage.
void BlockPass::pass_variant(const BlockLabels& labels, const Stage& stage, int64_t batch,
                             size_t variant, ExpertRows& experts, const StageWeights& weights,
                             const Listeners& listeners) {
  const Timer timer(times_.model_s);
  const auto& own = labels.own[batch];
  auto rows = rows_of(intervened_->stream(variant), labels, batch);
  forward_.stage(stage, weights, sequences_of(own), rows, experts);
  if (!stage.is_last) return;
  intervened_->change_variant(variant, {stage.layer + 1, own, rows}, listeners.on_intervention);
}

/// Takes some micro-batches of a block, and of its variants, through the stages of a layer.
void BlockPass::pass_layer(const BlockLabels& labels, int64_t layer, Share batches, bool is_last,
                           const Listeners& listeners, SiteTaps& taps) {
  const size_t variants = listeners.on_variant_loss ? intervened_->variants() : 0;
  auto experts = expert_rows(labels, batches, 1 + variants);
  const auto places = store_.stages_of(layer);
  for (int64_t place = places.begin; place < places.end; ++place) {
    const auto& stage = store_.stages()[place];
    const auto& weights = store_.acquire(place, next_stage(place, is_last));
    for (int64_t i = 0; i < batches.size(); ++i) {
      pass_stage(labels, stage, batches.begin + i, experts[i], weights, listeners, taps);
    }
    for (size_t variant = 0; variant < variants; ++variant) {
      if (!intervened_->has_left(variant, layer)) continue;
      for (int64_t i = 0; i < batches.size(); ++i) {
        auto& own_experts = experts[(1 + variant) * batches.size() + i];
        pass_variant(labels, stage, batches.begin + i, variant, own_experts, weights, listeners);
      }
    }
  }
}

bool BlockPass::run(const BlockLabels& labels, bool is_last, const Listeners& listeners) {
  const auto& architecture = inputs_.checkpoint.architecture();
  const bool needs_head = listeners.on_loss || listeners.taps.wants(Site::kFinalNorm);
  const auto batches = static_cast<int64_t>(labels.own.size());
  // A streamed stage serves the whole block before it leaves; where all stay, a micro-batch passes
  // the layer at once, and experts need room for no other.
  const int64_t together = is_streamed(inputs_) ? batches : 1;
  SiteTaps taps(architecture, group_, listeners.taps);
  embed_block(labels);
  for (size_t batch = 0; batch < labels.own.size(); ++batch) {
    taps.begin(labels.own[batch]);
    taps.end(-1);
    intervene(labels, 0, batch, listeners);
    tap(labels, 0, batch, listeners);
  }
  if (!end_layer(0, listeners)) return false;
  for (int64_t layer = 0; layer < architecture.layers; ++layer) {
    for (int64_t first = 0; first < batches; first += together) {
      const Share some = {first, std::min(first + together, batches)};
      pass_layer(labels, layer, some, is_last, listeners, taps);
    }
    if (layer + 1 == architecture.layers && needs_head) pass_head(labels, is_last, listeners);
    if (!end_layer(layer + 1, listeners)) return false;
  }
  return true;
}

}  // namespace actsweep
