#include "run/segment_runner.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <tuple>

#include "base/error.h"
#include "run/captured_prompt.h"
#include "schema/declare_statistics.h"

namespace actsweep {
namespace {

Reduction reduction_of(Merge merge) {
  if (merge == Merge::kMax) return Reduction::kMax;
  if (merge == Merge::kMin) return Reduction::kMin;
  ensure(merge == Merge::kSum, "a field merges by sum, maximum or minimum");
  return Reduction::kSum;
}

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

Extents SegmentRunner::segment_extents(WindowRange windows) const {
  const auto facts = environment_.inputs.facts();
  Extents extents;
  for (const auto axis : all_axes()) {
    if (!has_unknown_length(axis)) extents[axis] = axis_length(facts, axis);
  }
  const auto& plan = environment_.inputs.windows;
  extents[Axis::kSequence] = windows.size();
  extents[Axis::kToken] = plan.tokens_before(windows.end) - plan.tokens_before(windows.begin);
  return extents;
}

void SegmentRunner::open_output(int64_t number, const std::vector<Dataset>& datasets,
                                const Extents& extents) {
  if (environment_.io == nullptr) return;
  output_ = std::make_unique<SegmentOutput>(*environment_.io, environment_.folder, number, datasets,
                                            extents);
}

/// Whether the pass goes on, as the group agrees after every layer.
bool SegmentRunner::goes_on() {
  environment_.group.check();
  const bool failed = environment_.io != nullptr && environment_.io->failed();
  verdict_ = stop_.after_layer(environment_.group, failed,
                               environment_.progress.seconds_for(token_layers_left_));
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

bool SegmentRunner::measure_block(const BlockLabels& labels, RowCollector& rows, bool is_last) {
  rows.begin_block(labels);
  measurements_.begin_block(labels, rows);
  const auto after_layer = [&](int64_t layer) { return end_layer(layer, labels, rows); };
  if (!pass_.run(labels, is_last, {measurements_.listeners(), after_layer})) return false;
  const auto& events = measurements_.events();
  rows.flush_rows(events);
  events_.insert(events_.end(), events.begin(), events.end());
  return true;
}

void SegmentRunner::write_labels(WindowRange windows, const BlockLabels& labels) {
  if (!output_) return;
  for (auto& column : label_columns(environment_.inputs, windows)) {
    const bool is_by_sequence = column.path.starts_with("sequences/");
    output_->write(column.path, {is_by_sequence ? labels.first_sequence : labels.first_token},
                   {is_by_sequence ? labels.sequences : labels.tokens}, std::move(column.values));
  }
}

void SegmentRunner::write_fields() {
  for (auto& field : measurements_.fields()) {
    environment_.group.all_reduce(field.values, reduction_of(field.dataset->merge));
    if (!output_) continue;
    const auto count = field.values.sizes().vec();
    output_->write(field.dataset->path, std::vector<int64_t>(count.size(), 0), count,
                   field.values.cpu().contiguous());
  }
}

void SegmentRunner::write_events() {
  if (!environment_.inputs.job.measures(Site::kResidual)) return;
  const auto mine = std::as_bytes(std::span(events_));
  const auto parts = environment_.group.gather_bytes({mine.begin(), mine.end()}, 0);
  if (!output_) return;
  std::vector<Event> all;
  for (const auto& part : parts) {
    const auto before = all.size();
    all.resize(before + part.size() / sizeof(Event));
    if (!part.empty()) std::memcpy(all.data() + before, part.data(), part.size());
  }
  std::sort(all.begin(), all.end(), comes_before);
  for (auto& column : event_columns(all)) {
    output_->append(column.path, static_cast<int64_t>(all.size()), std::move(column.values));
  }
}

/// Commits unless a collective is known to have failed by now: then nothing measured counts.
void SegmentRunner::commit() {
  environment_.group.check();
  if (output_) output_->commit();
  output_.reset();
}

Verdict SegmentRunner::run_segment(int64_t number, bool is_last) {
  const auto& inputs = environment_.inputs;
  const auto windows = inputs.segments.segment(number);
  const auto extents = segment_extents(windows);
  open_output(number, segment_datasets(inputs.datasets), extents);
  on_step_ = steps_of(fmt::format("segment {}", number), environment_.folder.on_step);
  measurements_.begin_segment();
  events_.clear();
  token_layers_left_ = extents.at(Axis::kToken) * (inputs.checkpoint.architecture().layers + 1);
  RowCollector rows(environment_.group, output_.get(), inputs.facts());
  for (const auto block : inputs.segments.blocks(windows, environment_.layout.block_windows)) {
    const auto labels = label_block(inputs, block, windows.begin, environment_.group.size(),
                                    environment_.group.rank());
    write_labels(block, labels);
    if (!measure_block(labels, rows, is_last && block.end == windows.end)) {
      output_.reset();
      return verdict_;
    }
  }
  write_fields();
  write_events();
  commit();
  return verdict_;
}

Verdict SegmentRunner::run_prompt(const std::string& name, int64_t number, bool is_last) {
  const auto& inputs = environment_.inputs;
  const auto labels = label_prompt(inputs, inputs.prompts.at(name), environment_.group.size(),
                                   environment_.group.rank());
  auto extents = segment_extents({0, 0});
  extents[Axis::kPromptToken] = extents[Axis::kPromptKey] = labels.tokens;
  open_output(number, capture_datasets(inputs.datasets, name), extents);
  token_layers_left_ = 0;
  CapturedPrompt prompt(inputs, environment_.group, name, output_.get());
  prompt.write_what_is_known();
  const auto after_layer = [&](int64_t) { return goes_on(); };
  const bool is_done = pass_.run(labels, is_last, {{prompt.listeners()}, after_layer});
  if (is_done && output_) output_->commit();
  output_.reset();
  return verdict_;
}

}  // namespace actsweep
