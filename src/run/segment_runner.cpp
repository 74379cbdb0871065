#include "run/segment_runner.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <span>
#include <tuple>

#include "base/error.h"
#include "run/captured_prompt.h"
#include "run/label_columns.h"
#include "schema/declare_statistics.h"
#include "stats/reduce_fields.h"

namespace actsweep {
namespace {

/// The order of /massive: sequence, layer, falling magnitude; ties by position, then channel.
bool comes_before(const Event& a, const Event& b) {
  return std::tuple(a.sequence, a.layer, -std::abs(a.value), a.position, a.channel) <
         std::tuple(b.sequence, b.layer, -std::abs(b.value), b.position, b.channel);
}

}  // namespace

SegmentRunner::SegmentRunner(const Environment& environment, BlockPass& pass, at::Device device)
    : environment_(environment),
      pass_(pass),
      measurements_(environment.inputs, environment.group, device) {}

/// Of a file of this rank's that holds so many tokens and sequences.
Extents SegmentRunner::extents_of(const RowCounts& owned) const {
  const auto facts = environment_.inputs.facts();
  Extents extents;
  for (const auto axis : all_axes()) {
    if (!has_unknown_length(axis)) extents[axis] = axis_length(facts, axis);
  }
  extents[Axis::kSequence] = owned.sequences;
  extents[Axis::kToken] = owned.tokens;
  if (sample_of(environment_.inputs.job.store).is_known()) {
    extents[Axis::kStoredRow] = owned.stored;
  }
  return extents;
}

/// Where the rows of a segment lie in the sweep. A random store's are not counted for that: it
/// would take each token's number.
RowPlace SegmentRunner::place_of(WindowRange windows) const {
  const auto& inputs = environment_.inputs;
  const int64_t tokens = inputs.windows.tokens_before(windows.begin);
  RowPlace place;
  place.before = {.tokens = tokens, .sequences = windows.begin};
  place.whole = {.tokens = inputs.windows.tokens(), .sequences = inputs.windows.windows()};
  if (sample_of(inputs.job.store).kind != TokenSample::Kind::kAll) return place;
  place.before.stored = tokens;
  place.whole.stored = place.whole.tokens;
  return place;
}

/// Whether the pass goes on, as the group agrees after every layer.
bool SegmentRunner::goes_on() {
  environment_.heartbeat.beat();
  environment_.group.check();
  environment_.writer.commit_ready();
  verdict_ =
      stop_.after_layer(environment_.group, {environment_.writer.failed(),
                                             environment_.progress.seconds_for(token_layers_left_),
                                             environment_.queue.told_stop_s()});
  if (const auto left_s = stop_.left_s()) environment_.queue.tell_stop(*left_s);
  return verdict_ == Verdict::kGoOn || verdict_ == Verdict::kFinishSegment;
}

bool SegmentRunner::end_layer(int64_t layer, const BlockLabels& labels, RowCollector& rows) {
  measurements_.end_layer();
  rows.flush_layer(layer);
  token_layers_left_ -= labels.tokens;
  environment_.progress.layer_done(labels.tokens);
  if (on_step_) on_step_(fmt::format("layer {}", layer));
  return goes_on();
}

/// One block through the model, each step of which is told to who watches.
bool SegmentRunner::pass_block(const BlockLabels& labels, bool ends_unit,
                               const std::vector<Stream::Listeners>& streams,
                               const std::function<bool(int64_t layer)>& after_layer) {
  const auto on_batch = [&](int64_t layer, int64_t batch) {
    environment_.heartbeat.beat(layer, batch);
    environment_.queue.serve();
  };
  const auto is_last = [&] { return ends_unit && !environment_.queue.peek(); };
  return pass_.run(labels, is_last, {streams, after_layer, on_batch});
}

bool SegmentRunner::measure_block(const BlockLabels& labels, const Rows& rows, bool ends_unit) {
  const auto& [collected, stored] = rows;
  collected.begin_block(labels, label_columns(environment_.inputs, labels.own));
  if (stored != nullptr) stored->begin_block(labels);
  measurements_.begin_block(labels, collected, stored);
  const auto after_layer = [&](int64_t layer) { return end_layer(layer, labels, collected); };
  if (!pass_block(labels, ends_unit, measurements_.listeners(), after_layer)) return false;
  const auto& events = measurements_.events();
  collected.flush_rows(events);
  if (stored != nullptr) stored->end_block(events);
  events_.insert(events_.end(), events.begin(), events.end());
  return true;
}

void SegmentRunner::write_fields() {
  auto fields = measurements_.fields();
  reduce_fields(fields, environment_.group);
  if (environment_.group.rank() != 0) return;
  for (const auto& field : fields) {
    const auto count = field.values.sizes().vec();
    output_->write(field.dataset->path, std::vector<int64_t>(count.size(), 0), count,
                   field.values.cpu().contiguous());
  }
}

/// This rank's events, which `counts` are told of: micro-batch after micro-batch, as sequences are.
void SegmentRunner::write_events(int64_t first_window, std::vector<RowCounts>& counts) {
  const auto& inputs = environment_.inputs;
  if (!inputs.job.measures(Site::kResidual)) return;
  std::sort(events_.begin(), events_.end(), comes_before);
  std::set<int64_t> tokens;
  for (const auto& event : events_) {
    const int64_t window = event.sequence - first_window;
    auto& of_microbatch = counts[window / inputs.segments.windows_per_microbatch];
    ++of_microbatch.events;
    if (!tokens.insert(event.token).second) continue;
    if (inputs.job.keeps_event_rows()) ++of_microbatch.rows;
    if (!sample_of(inputs.job.store).is_known()) ++of_microbatch.stored;
  }
  const auto count = static_cast<int64_t>(events_.size());
  const auto append = [&](std::vector<Column> columns) {
    for (auto& column : columns) output_->append(column.path, count, std::move(column.values));
  };
  append(event_columns(events_));
  if (inputs.job.statistics.event_updates) append(update_columns(events_));
}

Verdict SegmentRunner::run_segment(int64_t number) {
  const auto& inputs = environment_.inputs;
  const auto windows = inputs.segments.segment(number);
  const int members = environment_.group.size(), member = environment_.group.rank();
  auto counts = owned_counts(inputs, windows, members, member);
  output_ = environment_.writer.begin_segment(number, inputs.datasets, extents_of(sum_of(counts)),
                                              place_of(windows));
  const auto name = fmt::format("segment {}", number);
  on_step_ = steps_of(name, environment_.on_step);
  environment_.heartbeat.rename(name);
  measurements_.begin_segment();
  events_.clear();
  token_layers_left_ =
      (inputs.windows.tokens_before(windows.end) - inputs.windows.tokens_before(windows.begin)) *
      (inputs.checkpoint.architecture().layers + 1);
  RowCollector rows(*output_, inputs.facts());
  std::optional<StoredRows> stored;
  if (!inputs.job.store.sites.empty()) stored.emplace(inputs, *output_);
  for (const auto block : inputs.segments.blocks(windows, environment_.layout.block_windows)) {
    const auto labels = label_block(inputs, block, windows.begin, members, member);
    const bool ends_segment = block.end == windows.end;
    if (!measure_block(labels, {rows, stored ? &*stored : nullptr}, ends_segment)) {
      output_.reset();
      return verdict_;
    }
  }
  write_fields();
  write_events(windows.begin, counts);
  environment_.group.check();  // where a collective has failed, nothing measured counts
  environment_.writer.commit(std::move(output_), std::move(counts));
  return verdict_;
}

Verdict SegmentRunner::run_prompt(const std::string& name, int64_t number) {
  const auto& inputs = environment_.inputs;
  environment_.heartbeat.rename(fmt::format("prompt {}", name));
  const auto labels = label_prompt(inputs, inputs.prompts.at(name), environment_.group.rank());
  auto extents = extents_of({});
  extents[Axis::kPromptToken] = extents[Axis::kPromptKey] = labels.tokens;
  output_ =
      environment_.writer.begin_prompt(number, capture_datasets(inputs.datasets, name), extents);
  token_layers_left_ = 0;
  CapturedPrompt prompt(inputs, environment_.group, name, output_.get());
  prompt.write_what_is_known();
  const auto after_layer = [&](int64_t) { return goes_on(); };
  const bool is_done = pass_block(labels, true, {prompt.listeners()}, after_layer);
  if (is_done && output_) {
    output_->finish({});
    output_->commit();
  }
  output_.reset();
  return verdict_;
}

}  // namespace actsweep
