#include "run/block_pass.h"

#include <ATen/ATen.h>

#include <chrono>
#include <limits>

#include "base/error.h"
#include "model/embedding.h"
#include "model/loss.h"

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
             {inputs.job.model.dtype, inputs.job.parallel.weights, inputs.job.statistics.loss,
              device, on_loaded}),
      forward_(inputs.checkpoint.architecture(), group, forward_options(inputs, layout, device)) {
  if (inputs.images != nullptr) {
    image_embedding_.emplace(inputs.checkpoint, inputs.images->height(), inputs.images->width());
  }
  const auto options = forward_options(inputs, layout, device);
  const int64_t block_rows =
      layout.block_windows / layout.members * inputs.job.corpus.sequence_length;
  residual_ = at::empty(
      {std::max(block_rows, options.owned_rows), inputs.checkpoint.architecture().channels},
      at::TensorOptions().dtype(at::kFloat).device(device));
  if (!inputs.job.interventions.empty()) intervened_.emplace(inputs, residual_);
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
  const Timer timer(times_.statistics_s);
  listeners.on_tap({Site::kResidual, layer, rows_of(residual_, labels, batch), labels.own[batch]});
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

void BlockPass::run_variants(const StageWeights& weights, int64_t layer, const BlockLabels& labels,
                             const Listeners& listeners) {
  if (!intervened_ || !listeners.on_variant_loss) return;
  const Timer timer(times_.model_s);
  for (size_t variant = 0; variant < intervened_->variants(); ++variant) {
    if (!intervened_->has_left(variant, layer)) continue;
    for (size_t batch = 0; batch < labels.own.size(); ++batch) {
      auto rows = rows_of(intervened_->stream(variant), labels, batch);
      forward_.layer(weights, layer, sequences_of(labels.own[batch]), rows);
      intervened_->change_variant(variant, {layer + 1, labels.own[batch], rows},
                                  listeners.on_intervention);
    }
  }
}

bool BlockPass::end_layer(int64_t layer, const Listeners& listeners) {
  const Timer timer(times_.rows_s);
  return listeners.after_layer(layer);
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

void BlockPass::measure_loss(const BlockLabels& labels, bool is_last, const Listeners& listeners) {
  const auto next = is_last ? std::nullopt : std::optional<int64_t>(0);
  const auto& head = store_.acquire(inputs_.checkpoint.architecture().layers, next);
  for (size_t batch = 0; batch < labels.own.size(); ++batch) {
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

bool BlockPass::run(const BlockLabels& labels, bool is_last, const Listeners& listeners) {
  const int64_t layers = inputs_.checkpoint.architecture().layers;
  embed_block(labels);
  for (size_t batch = 0; batch < labels.own.size(); ++batch) {
    intervene(labels, 0, batch, listeners);
    tap(labels, 0, batch, listeners);
  }
  if (!end_layer(0, listeners)) return false;
  for (int64_t layer = 0; layer < layers; ++layer) {
    const bool is_end = layer + 1 == store_.stages();
    const auto next =
        is_end && is_last ? std::nullopt : std::optional((layer + 1) % store_.stages());
    const auto& weights = store_.acquire(layer, next);
    for (size_t batch = 0; batch < labels.own.size(); ++batch) {
      auto rows = rows_of(residual_, labels, batch);
      {
        const Timer timer(times_.model_s);
        forward_.layer(weights, layer, sequences_of(labels.own[batch]), rows);
      }
      if (listeners.on_experts) listeners.on_experts(layer + 1, forward_.chosen_experts());
      intervene(labels, layer + 1, batch, listeners);
      tap(labels, layer + 1, batch, listeners);
    }
    run_variants(weights, layer, labels, listeners);
    if (layer + 1 == layers && listeners.on_loss) measure_loss(labels, is_last, listeners);
    if (!end_layer(layer + 1, listeners)) return false;
  }
  return true;
}

}  // namespace actsweep
