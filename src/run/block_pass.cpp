#include "run/block_pass.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "model/image_logits.h"
#include "model/loss.h"
#include "model/norms.h"
#include "probe/site.h"
#include "run/next_tokens.h"

namespace actsweep {
namespace {

/// Of the corpus' images; empty for text.
PatchGrid grid_of(const SweepInputs& inputs) {
  if (inputs.images == nullptr) return {};
  return {inputs.images->first_patch(), inputs.images->grid_rows(), inputs.images->grid_columns()};
}

Forward::Options forward_options(const SweepInputs& inputs, const SweepLayout& layout,
                                 at::Device device) {
  int64_t rows =
      inputs.segments.windows_per_microbatch / layout.members * inputs.job.corpus.sequence_length;
  int64_t positions = inputs.job.corpus.sequence_length;
  for (const auto& [name, prompt] : inputs.prompts) {
    rows = std::max(rows, static_cast<int64_t>(prompt.ids.size()));
    positions = std::max(positions, static_cast<int64_t>(prompt.ids.size()));
  }
  return {scalar_type(inputs.job.model.dtype), device, rows, positions, grid_of(inputs)};
}

bool is_streamed(const SweepInputs& inputs) {
  return inputs.job.parallel.weights == WeightMode::kStreamed;
}

/// The job's interventions, with the means that they take from sweep files.
std::vector<Intervention> interventions_of(const SweepInputs& inputs) {
  const auto& a = inputs.checkpoint.architecture();
  std::vector<Intervention> all;
  for (size_t i = 0; i < inputs.job.interventions.size(); ++i) {
    const auto& read = inputs.intervention_means[i];
    const auto wanted = with_channels_of_heads(inputs.job.interventions[i], a);
    const auto tensor_of = [&](const std::vector<float>& moments) {  // [layers + 1, groups, width]
      if (moments.empty()) return at::Tensor();
      return at::tensor(moments, at::kFloat)
          .view({a.layers + 1, read.groups, site_width(a, wanted.site)});
    };
    all.emplace_back(intervention_name(i), wanted, a.layers, tensor_of(read.values),
                     tensor_of(read.deviations));
  }
  return all;
}

/// What a stream of the largest block holds. Where weights are streamed, the whole block passes the
/// stages of a layer together, else one micro-batch.
StreamRoom stream_room(const SweepInputs& inputs, const SweepLayout& layout, at::Device device) {
  const auto options = forward_options(inputs, layout, device);
  StreamRoom room;
  room.rows = std::max(layout.block_windows / layout.members * inputs.job.corpus.sequence_length,
                       options.owned_rows);
  room.gathered_rows = layout.members * (is_streamed(inputs) ? room.rows : options.owned_rows);
  room.members = layout.members;
  room.options = at::TensorOptions().device(device).dtype(options.dtype);
  return room;
}

/// For each row of some sequences where the keys end that it sees: behind itself, or behind the run
/// of tokens with the id of images that it is in.
std::vector<int64_t> key_ends_of(const OwnedRows& labels, int64_t image_id) {
  const int64_t positions = labels.padded_length;
  std::vector<int64_t> ends(labels.token_id.size());
  for (auto row = static_cast<int64_t>(ends.size()) - 1; row >= 0; --row) {
    const int64_t end = row % positions + 1;
    const bool goes_on =
        end < positions && labels.token_id[row] == image_id && labels.token_id[row + 1] == image_id;
    ends[row] = goes_on ? ends[row + 1] : end;
  }
  return ends;
}

/// The sequences that this rank owns; a padding sequence counts as one position.
Sequences sequences_of(const SweepInputs& inputs, const OwnedRows& labels) {
  Sequences sequences{labels.padded_length, std::vector<int64_t>(labels.padded_sequences, 1)};
  for (size_t i = 0; i < labels.windows.size(); ++i) {
    sequences.length[i] = labels.windows[i].length();
  }
  if (inputs.tower && inputs.tower->projector()->sees_images_whole) {
    sequences.key_ends = key_ends_of(labels, inputs.checkpoint.image_tokens().front());
  }
  return sequences;
}

bool hears_head(const Stream& stream) {
  const auto& listeners = stream.listeners();
  return listeners.on_loss || listeners.on_logits || listeners.taps.wants(Site::kFinalNorm);
}

}  // namespace

BlockPass::BlockPass(const SweepInputs& inputs, const Group& group, const SweepLayout& layout,
                     at::Device device, const std::function<void(int64_t stage)>& on_loaded)
    : inputs_(inputs),
      group_(group),
      device_(device),
      share_(share_of(inputs.checkpoint.architecture(), group.size(), group.rank())),
      store_(inputs.checkpoint, share_,
             {inputs.job.model.dtype, inputs.job.parallel.weights, inputs.job.needs_head(), device,
              on_loaded}),
      forward_(inputs.checkpoint.architecture(), group, forward_options(inputs, layout, device)),
      embedding_(inputs, stream_room(inputs, layout, device).rows, device),
      streams_(make_streams(inputs.job, interventions_of(inputs), inputs.checkpoint.architecture(),
                            share_, stream_room(inputs, layout, device))),
      clock_(clock_of(device)) {}

/// The stage to read while `stage` computes.
std::optional<int64_t> BlockPass::next_stage(int64_t stage, const IsLast& is_last) const {
  if (!is_streamed(inputs_)) return std::nullopt;
  const auto stages = static_cast<int64_t>(store_.stages().size());
  if (stage + 1 < stages) return stage + 1;
  return is_last() ? std::nullopt : std::optional<int64_t>(0);
}

BlockPass::Block BlockPass::listen(const BlockLabels& labels, const IsLast& is_last,
                                   const Listeners& listeners) {
  const auto& streams = listeners.streams;
  ensure(labels.row_count() <= streams_.front().row_count(), "a block fits its streams");
  ensure(!streams.empty() && streams.size() <= streams_.size(),
         "listeners are of the original and of variants of the job");
  for (size_t i = 0; i < streams.size(); ++i) {
    streams_[i].listen(streams[i], inputs_.checkpoint.architecture(), group_);
  }
  return {labels, is_last, std::span(streams_).first(streams.size()), listeners.on_batch};
}

void BlockPass::embed(const Block& block) {
  auto& original = block.streams.front();
  for (size_t batch = 0; batch < block.labels.own.size(); ++batch) {
    const auto& own = block.labels.own[batch];
    auto rows = original.rows_of(block.labels, batch);
    block.begin(0, batch);
    {
      const PassClock::Scope scope(clock_, Part::kModel);
      embedding_.embed(own, block.labels.first_row(batch), rows);
    }
    original.taps().begin(own);
    original.taps().end(-1);
    if (original.listeners().on_experts) original.listeners().on_experts(batch, 0, {});
    end_layer(block, original, 0, batch);
  }
}

void BlockPass::show(const Stream& stream, const Tap& tap) {
  const PassClock::Scope scope(clock_, Part::kStatistics);
  stream.listeners().taps.on_tap(tap);
}

void BlockPass::change_and_show(const Block& block, Stream& stream, int64_t layer, size_t batch) {
  const auto& own = block.labels.own[batch];
  const auto rows = stream.rows_of(block.labels, batch);
  {
    const PassClock::Scope scope(clock_, Part::kModel);
    stream.intervene({layer, own, rows}, group_);
  }
  if (!stream.listeners().taps.wants(Site::kResidual)) return;
  show(stream, {Site::kResidual, layer, rows, own});
}

/// Variants that begin here take the original's rows as they are before it is changed.
void BlockPass::end_layer(const Block& block, Stream& stream, int64_t layer, size_t batch) {
  if (&stream == &block.streams.front()) {
    for (auto& variant : block.streams.subspan(1)) {
      if (variant.first_layer() != layer) continue;
      variant.copy_rows(stream, block.labels, batch);
      change_and_show(block, variant, layer, batch);
    }
  }
  change_and_show(block, stream, layer, batch);
}

/// The dense MLP is in the first stage of a layer.
ChangedWeights BlockPass::change_weights(const Stream& stream, const OwnedRows& own,
                                         const Stage& stage, const StageWeights& weights) const {
  if (!stage.is_first) return {};
  const auto& architecture = inputs_.checkpoint.architecture();
  return stream.change_weights(stage.layer, own, weights,
                               dense_neurons(share_, architecture, stage.layer));
}

/// One micro-batch of a stream through one stage.
void BlockPass::pass_batch(const Block& block, Stream& stream, size_t batch, const Stage& stage,
                           const StageWeights& weights) {
  const auto& own = block.labels.own[batch];
  const auto& listeners = stream.listeners();
  auto& experts = stream.experts_of(static_cast<int64_t>(batch));
  auto rows = stream.rows_of(block.labels, batch);
  block.begin(stage.layer + 1, batch);
  if (listeners.before_stage) listeners.before_stage(batch, stage);
  stream.taps().begin(own);
  {
    const PassClock::Scope scope(clock_, Part::kModel);
    const auto changed = change_weights(stream, own, stage, weights);
    auto sequences = sequences_of(inputs_, own);
    sequences.keys = stream.keys_of(stage.layer, block.labels, batch, group_.size(),
                                    block.streams.front());
    at::Tensor inputs;
    if (stage.is_last) {
      inputs = embedding_.layer_inputs(own, block.labels.first_row(batch), stage.layer);
    }
    forward_.stage(stage, weights, sequences, rows, experts, &stream.taps(), inputs);
  }
  if (!stage.is_last) return;
  stream.taps().end(stage.layer);
  if (listeners.on_experts) listeners.on_experts(batch, stage.layer + 1, experts.routing);
  end_layer(block, stream, stage.layer + 1, batch);
}

/// Some micro-batches of the original, and of the variants that have begun, through one stage.
void BlockPass::pass_stage(const Block& block, int64_t place, Share batches) {
  const auto& stage = store_.stages()[place];
  const auto& weights = store_.acquire(place, next_stage(place, block.is_last));
  for (auto& stream : block.streams) {
    if (stream.first_layer() > stage.layer) continue;
    for (int64_t batch = batches.begin; batch < batches.end; ++batch) {
      pass_batch(block, stream, batch, stage, weights);
    }
  }
}

/// A streamed stage serves the whole block before it leaves; where all stay, a micro-batch passes
/// the layer at once, and experts need room for no other.
void BlockPass::pass_layer(const Block& block, int64_t layer) {
  const auto all = static_cast<int64_t>(block.labels.own.size());
  const int64_t together = is_streamed(inputs_) ? all : 1;
  const auto places = store_.stages_of(layer);
  for (int64_t first = 0; first < all; first += together) {
    const Share batches = {first, std::min(first + together, all)};
    for (auto& stream : block.streams) stream.begin_layer(block.labels, batches, group_.size());
    for (int64_t place = places.begin; place < places.end; ++place) {
      pass_stage(block, place, batches);
    }
  }
}

at::Tensor BlockPass::nll_of(const StageWeights& head, const OwnedRows& own,
                             const at::Tensor& rows) {
  const PassClock::Scope scope(clock_, Part::kModel);
  const auto& architecture = inputs_.checkpoint.architecture();
  const auto next = next_tokens(own, architecture.has_sink_token);
  auto nll = token_nll(architecture, head, rows, next.id.to(device_), group_);
  return nll.masked_fill_(next.is_absent, std::numeric_limits<float>::quiet_NaN());
}

/// Of the images of a micro-batch, which are all of one size.
at::Tensor BlockPass::logits_of(const StageWeights& head, const OwnedRows& own,
                                const at::Tensor& rows) {
  const PassClock::Scope scope(clock_, Part::kModel);
  const auto images = rows.unflatten(0, {own.padded_sequences, own.padded_length})
                          .narrow(0, 0, static_cast<int64_t>(own.windows.size()));
  const auto& checkpoint = inputs_.checkpoint;
  return image_logits(checkpoint.architecture(), *checkpoint.classifier(), head, images)
      .to(at::kCPU);
}

/// What stands behind the last layer, where any stream's is heard.
void BlockPass::pass_head(const Block& block) {
  if (std::none_of(block.streams.begin(), block.streams.end(), hears_head)) return;
  const auto& architecture = inputs_.checkpoint.architecture();
  const int64_t place = store_.stages_of(architecture.layers).begin;
  const auto& head = store_.acquire(place, next_stage(place, block.is_last));
  for (const auto& stream : block.streams) {
    for (size_t batch = 0; batch < block.labels.own.size(); ++batch) {
      block.begin(architecture.layers, batch);
      const auto& own = block.labels.own[batch];
      const auto rows = stream.rows_of(block.labels, batch);
      if (stream.listeners().taps.wants(Site::kFinalNorm)) {
        show(stream, {Site::kFinalNorm, 0, final_norm(architecture, head, rows), own});
      }
      if (stream.listeners().on_loss) stream.listeners().on_loss(own, nll_of(head, own, rows));
      if (stream.listeners().on_logits) {
        stream.listeners().on_logits(own, logits_of(head, own, rows));
      }
    }
  }
}

bool BlockPass::run(const BlockLabels& labels, const IsLast& is_last, const Listeners& listeners) {
  const auto end_layer = [&](int64_t layer) {
    const PassClock::Scope scope(clock_, Part::kRows);
    return listeners.after_layer(layer);
  };
  const auto block = listen(labels, is_last, listeners);
  const int64_t layers = inputs_.checkpoint.architecture().layers;
  embed(block);
  if (!end_layer(0)) return false;
  for (int64_t layer = 0; layer < layers; ++layer) {
    pass_layer(block, layer);
    if (layer + 1 == layers) pass_head(block);
    if (!end_layer(layer + 1)) return false;
  }
  return true;
}

}  // namespace actsweep
