#include "run/measurements.h"

#include <ATen/ATen.h>

#include "kernels/second_look.h"
#include "output/layout.h"

namespace actsweep {
namespace {

Extents all_extents(const SweepInputs& inputs) {
  const auto facts = inputs.facts();
  Extents extents;
  for (const auto axis : all_axes()) {
    if (const auto length = axis_length(facts, axis); length > 0) extents[axis] = length;
  }
  return extents;
}

void add_site(Site site, SiteTaps::Listeners& taps) {
  if (!taps.wants(site)) taps.sites.push_back(site);
}

}  // namespace

Measurements::Measurements(const SweepInputs& inputs, const Group& group, at::Device device)
    : inputs_(inputs),
      group_(group),
      device_(device),
      share_(share_of(inputs.checkpoint.architecture(), group.size(), group.rank())),
      key_sets_(inputs.job.statistics.attention, inputs.earlier_events.positions,
                inputs.checkpoint.architecture().has_sink_token) {
  const auto& statistics = inputs.job.statistics;
  const auto extents = all_extents(inputs);
  const auto add = [&](auto& slot, const auto&... arguments) {
    all_.push_back(&slot.emplace(arguments...));
  };
  for (const Site site : statistics.sites) {
    all_.push_back(&sites_.try_emplace(site, site, inputs.job, extents, device).first->second);
  }
  if (statistics.loss) add(loss_, inputs.job, device);
  if (statistics.loss && !inputs.corpus.requests().empty()) requests_.emplace();
  if (statistics.classifier) classes_.emplace(inputs.images->labels());
  if (!inputs.job.interventions.empty()) add(interventions_, inputs.job, device);
  if (key_sets_.count() > 0) add(attention_, key_sets_, share_, extents, device);
  if (statistics.attention_received) {
    received_.emplace(inputs.job, group, share_, inputs.checkpoint.architecture().heads);
  }
  if (statistics.score_extrema) add(extrema_, share_, extents, device);
  if (statistics.value_updates) {
    add(value_updates_, key_sets_.count(), group, share_, extents, device);
  }
  if (statistics.query_key) add(query_key_, share_, extents, device);
  if (statistics.geometry) geometry_.emplace(inputs.job);
  if (statistics.geometry || statistics.event_updates) history_.emplace();
  if (statistics.lifecycle) lifecycle_.emplace(statistics.lifecycle_channels, device);
  if (statistics.expert_rows) {
    const int64_t chosen = inputs.checkpoint.architecture().experts.chosen;
    token_experts_.emplace(inputs.job.output.per_token, group.rank(), chosen);
  }
  if (statistics.experts) add(experts_, inputs.job, extents, device);
}

void Measurements::begin_segment() {
  for (auto* statistics : all_) statistics->begin_segment();
}

void Measurements::begin_block(const BlockLabels& labels, RowCollector& rows, StoredRows* store) {
  labels_ = &labels;
  rows_ = &rows;
  store_ = store;
  events_.clear();
  batches_.clear();
  if (history_) history_->begin_block(labels);
  if (lifecycle_) lifecycle_->begin_block(labels.own.size());
  if (!inputs_.job.sees_gathered_rows()) return;
  for (const auto& members : labels.members) add_batch(members);
}

void Measurements::add_batch(const std::vector<OwnedRows>& members) {
  auto& batch = *batches_.emplace_back(std::make_unique<Batch>());
  batch.sequences = gathered_sequences(members, device_);
  const auto grouping = Grouping::of(device_);
  const int64_t width = inputs_.checkpoint.architecture().widest_head();
  if (attention_ && share_.query_heads.size() > 0) {
    const GroupTensor heads = {share_.query_heads.size(), width};
    batch.keys.emplace(key_sets_, batch.sequences, heads, value_updates_.has_value(), grouping);
  }
  if (query_key_) batch.query_key.emplace(batch.sequences, share_, width, grouping);
}

SiteTaps::Listeners Measurements::taps() {
  SiteTaps::Listeners taps;
  taps.sites = inputs_.job.statistics.sites;
  for (const Site site : inputs_.job.store.sites) add_site(site, taps);
  if (geometry_) add_site(Site::kResidual, taps);
  taps.on_tap = [this](const Tap& tap) { this->tap(tap); };
  if (received_) {
    taps.on_no_attention = [this](const OwnedRows& own) { received_->skip(own, *rows_); };
  }
  if (attention_ || received_ || extrema_ || query_key_) {
    taps.on_attention = [this](const AttentionView& view) { see_attention(view); };
  }
  if (experts_) {
    taps.on_experts = [this](const ExpertsView& view) {
      experts_->update(view, batches_[batch_]->sequences.is_token.view({-1}));
    };
  }
  if (inputs_.job.statistics.event_updates || lifecycle_) {
    taps.on_between = [this](const at::Tensor& rows) { see_between(rows); };
  }
  if (query_key_) taps.slices = {Site::kQuery, Site::kKey, Site::kValue};
  if (value_updates_) taps.slices.push_back(Site::kAttentionOutput);
  taps.on_slice = [this](Site site, int64_t layer, const at::Tensor& rows) {
    see_slice(site, layer, rows);
  };
  return taps;
}

Stream::Listeners Measurements::original() {
  Stream::Listeners listeners;
  listeners.taps = taps();
  listeners.before_stage = [this](size_t batch, const Stage& stage) {
    batch_ = batch;
    if (history_ && stage.is_first) history_->begin_layer(batch);
    if (stage.is_first && key_sets_.has_events()) gather_events(batch, stage.layer);
  };
  if (token_experts_) {
    listeners.on_experts = [this](size_t batch, int64_t, const Routing& routing) {
      token_experts_->update(routing, labels_->own[batch], *rows_);
    };
  }
  if (loss_) {
    listeners.on_loss = [this](const OwnedRows& own, const at::Tensor& nll) {
      loss_->update(own, nll, *rows_);
      if (requests_) requests_->update(own, nll, *rows_);
    };
  }
  if (classes_) {
    listeners.on_logits = [this](const OwnedRows& own, const at::Tensor& logits) {
      classes_->update(own, logits, *rows_);
    };
  }
  return listeners;
}

Stream::Listeners Measurements::variant(size_t number) {
  Stream::Listeners listeners;
  if (loss_) {
    listeners.on_loss = [this, number](const OwnedRows& own, const at::Tensor& nll) {
      interventions_->add_loss(number, own, nll, *rows_);
      if (requests_) requests_->update_variant(own, nll, *rows_);
    };
  }
  if (classes_) {
    listeners.on_logits = [this](const OwnedRows& own, const at::Tensor& logits) {
      classes_->update_variant(own, logits, *rows_);
    };
  }
  return listeners;
}

std::vector<Stream::Listeners> Measurements::listeners() {
  std::vector<Stream::Listeners> streams = {original()};
  for (size_t i = 0; i < inputs_.job.variants().size(); ++i) streams.push_back(variant(i));
  if (!interventions_) return streams;
  for (auto& stream : streams) {
    stream.on_intervention = [this](size_t number, const Intervention::Counts& counts) {
      interventions_->add_matches(number, counts.tokens, counts.activations);
    };
  }
  return streams;
}

void Measurements::see_between(const at::Tensor& rows) {
  if (inputs_.job.statistics.event_updates) history_->see_between(batch_, rows);
  if (lifecycle_) lifecycle_->see_between(batch_, rows);
}

/// Gives `batch` the rows from which it has come, where they are kept for its events.
void Measurements::see_residual(const Tap& tap, SiteBatch& batch) {
  const auto number = static_cast<size_t>(&tap.labels - labels_->own.data());
  if (lifecycle_) lifecycle_->update(number, tap.rows, tap.labels, *rows_);
  if (!history_) return;
  history_->see(number, tap.rows);
  const auto before = history_->before(number);
  if (geometry_) geometry_->update(tap.rows, before, tap.labels, *rows_);
  if (!inputs_.job.statistics.event_updates) return;
  batch.before = before;
  batch.between = history_->between(number);
}

void Measurements::tap(const Tap& tap) {
  if (store_ != nullptr) store_->see(tap);
  SiteBatch batch = {tap.rows, tap.layer, &tap.labels};
  if (tap.site == Site::kResidual) see_residual(tap, batch);
  const auto found = sites_.find(tap.site);
  if (found == sites_.end()) return;
  auto& statistics = found->second;
  if (!tap.rows.defined()) return statistics.skip(batch, *rows_);
  statistics.update(batch, *rows_, events_);
}

void Measurements::end_layer() {
  for (auto& [site, statistics] : sites_) statistics.finish(*rows_, events_);
}

/// Marks the rows with an event in the input of the layer, over all members.
void Measurements::gather_events(size_t batch, int64_t layer) {
  const auto& own = labels_->own[batch];
  const auto windows = static_cast<int64_t>(own.windows.size());
  auto mine = at::zeros({own.row_count()}, at::kLong);
  // Behind those of the layer's input stand at most those of its output.
  for (auto event = events_.rbegin(); event != events_.rend() && event->layer >= layer; ++event) {
    const auto window = windows > 0 ? event->sequence - own.windows.front().sequence : -1;
    if (event->layer > layer || window < 0 || window >= windows) continue;
    mine[window * own.padded_length + event->position] = 1;
  }
  auto all = at::empty({own.row_count() * group_.size()}, mine.options().device(device_));
  is_event_ = group_.all_gather(mine.to(device_), all).to(at::kCPU);
}

void Measurements::see_attention(const AttentionView& view) {
  auto& batch = *batches_[batch_];
  const auto is_finite = finite_sequences(batch.sequences, view.qkv, group_);
  std::optional<GatheredHeads> heads;
  if (attention_ && batch.keys) heads.emplace(view);
  if (heads) {
    if (is_event_.defined()) batch.keys->see_events(is_event_.const_data_ptr<int64_t>());
    attention_->update(*heads, *batch.keys, is_finite);
  }
  if (value_updates_) {
    value_updates_->update(view, heads ? &*heads : nullptr, heads ? &*batch.keys : nullptr,
                           is_finite);
  }
  if (received_ || extrema_) look_again(view, is_finite);
  if (query_key_) query_key_->update_rotated(view, *batch.query_key, is_finite);
}

void Measurements::look_again(const AttentionView& view, const at::Tensor& is_finite) {
  const auto& sequences = batches_[batch_]->sequences;
  std::vector<int64_t> lengths;
  for (const auto& sequence : sequences.all) lengths.push_back(sequence.length);
  ScoreSummary found;
  if (view.call.shape.query_heads > 0) {
    found = actsweep::look_again(view.qkv, view.call, view.summary.log_sum_exp, lengths,
                                 {received_.has_value(), extrema_.has_value()});
    if (extrema_) extrema_->update(view, found, sequences, is_finite);
  }
  if (!received_) return;
  received_->update(view.call.shape, found.received, sequences, is_finite, labels_->own[batch_],
                    *rows_);
}

void Measurements::see_slice(Site site, int64_t layer, const at::Tensor& rows) {
  if (site == Site::kAttentionOutput) {
    if (value_updates_) value_updates_->finish(layer, rows);
  } else {
    const auto& batch = *batches_[batch_];
    query_key_->update(site, layer, rows, *batch.query_key,
                       finite_sequences(batch.sequences, rows, group_));
  }
}

std::vector<Field> Measurements::fields() const {
  std::vector<Field> all;
  for (const auto* statistics : all_) {
    for (auto& field : statistics->fields()) all.push_back(field);
  }
  return all;
}

}  // namespace actsweep
