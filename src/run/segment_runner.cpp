#include "run/segment_runner.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <span>
#include <tuple>

#include "base/error.h"
#include "run/captured_attention.h"
#include "run/label_columns.h"
#include "schema/declare_statistics.h"

namespace actsweep {
namespace {

std::vector<std::byte> bytes_of(const at::Tensor& values) {
  const auto host = values.to(at::kCPU).contiguous();
  const auto* begin = static_cast<const std::byte*>(host.const_data_ptr());
  return {begin, begin + host.nbytes()};
}

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

/// Of a file of this rank's that holds so many tokens and sequences.
Extents SegmentRunner::extents_of(const RowCounts& owned) const {
  const auto facts = environment_.inputs.facts();
  Extents extents;
  for (const auto axis : all_axes()) {
    if (!has_unknown_length(axis)) extents[axis] = axis_length(facts, axis);
  }
  extents[Axis::kSequence] = owned.sequences;
  extents[Axis::kToken] = owned.tokens;
  return extents;
}

Verdict SegmentRunner::check_stop(int64_t token_layers_left) {
  environment_.writer.commit_ready();
  return stop_.after_layer(environment_.group, environment_.writer.failed(),
                           environment_.progress.seconds_for(token_layers_left));
}

BlockPass::Listeners SegmentRunner::listeners(const BlockLabels& labels, RowCollector& rows) {
  auto listeners = measurements_.listeners();
  listeners.after_layer = [&](int64_t layer) {
    measurements_.end_layer();
    rows.flush_layer(layer);
    token_layers_left_ -= labels.tokens;
    environment_.progress.layer_done(labels.tokens);
    if (on_step_) on_step_(fmt::format("layer {}", layer));
    verdict_ = check_stop(token_layers_left_);
    return verdict_ == Verdict::kGoOn || verdict_ == Verdict::kFinishSegment;
  };
  return listeners;
}

bool SegmentRunner::measure_block(const BlockLabels& labels, RowCollector& rows, bool is_last) {
  rows.begin_block(labels, label_columns(environment_.inputs, labels.own));
  measurements_.begin_block(labels, rows);
  if (!pass_.run(labels, is_last, listeners(labels, rows))) return false;
  const auto& events = measurements_.events();
  rows.flush_rows(events);
  events_.insert(events_.end(), events.begin(), events.end());
  return true;
}

void SegmentRunner::write_fields() {
  for (auto& field : measurements_.fields()) {
    environment_.group.all_reduce(field.values, reduction_of(field.dataset->merge));
    if (environment_.group.rank() != 0) continue;
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
    const bool has_row = inputs.job.output.per_token == PerToken::kMassive;
    if (has_row && tokens.insert(event.token).second) ++of_microbatch.rows;
  }
  for (auto& column : event_columns(events_)) {
    output_->append(column.path, static_cast<int64_t>(events_.size()), std::move(column.values));
  }
}

Verdict SegmentRunner::run_segment(int64_t number, bool is_last) {
  const auto& inputs = environment_.inputs;
  const auto windows = inputs.segments.segment(number);
  const int members = environment_.group.size(), member = environment_.group.rank();
  auto counts = owned_counts(inputs, windows, members, member);
  output_ = environment_.writer.begin_segment(number, inputs.datasets, extents_of(sum_of(counts)));
  on_step_ = steps_of(fmt::format("segment {}", number), environment_.on_step);
  measurements_.begin_segment();
  events_.clear();
  token_layers_left_ =
      (inputs.windows.tokens_before(windows.end) - inputs.windows.tokens_before(windows.begin)) *
      (inputs.checkpoint.architecture().layers + 1);
  RowCollector rows(*output_, inputs.facts());
  for (const auto block : inputs.segments.blocks(windows, environment_.layout.block_windows)) {
    const auto labels = label_block(inputs, block, windows.begin, members, member);
    if (!measure_block(labels, rows, is_last && block.end == windows.end)) {
      output_.reset();
      return verdict_;
    }
  }
  write_fields();
  write_events(windows.begin, counts);
  environment_.writer.commit(std::move(output_), std::move(counts));
  return verdict_;
}

/// Has the sites' rows of a prompt written, which member 0 owns.
void SegmentRunner::capture_sites(const std::string& group, int64_t tokens,
                                  BlockPass::Listeners& listeners) {
  listeners.taps.sites = environment_.inputs.job.capture.sites;
  listeners.taps.on_tap = [this, group, tokens](const Tap& tap) {
    if (!output_) return;
    const int64_t channels = axis_length(environment_.inputs.facts(), group_of(tap.site).channel);
    const auto rows =
        tap.rows.defined()
            ? tap.rows.narrow(0, 0, tokens)
            : at::full({tokens, channels}, std::numeric_limits<float>::quiet_NaN(), at::kFloat);
    output_->write(group + "/" + name_of(tap.site), {tap.layer, 0, 0}, {1, tokens, channels},
                   bytes_of(rows));
  };
}

/// Has every layer's attention on a prompt of member 0 written whole.
void SegmentRunner::capture_attention(const std::string& group, int64_t tokens,
                                      BlockPass::Listeners& listeners) {
  const int64_t heads = environment_.inputs.checkpoint.architecture().heads;
  const auto write = [this, group, heads, tokens](int64_t layer, const CapturedAttention& whole) {
    if (!output_) return;
    const std::vector<int64_t> offset = {layer, 0, 0, 0}, count = {1, heads, tokens, tokens};
    output_->write(group + "/attention_logit", offset, count, bytes_of(whole.logit));
    output_->write(group + "/attention", offset, count, bytes_of(whole.probability));
  };
  write(0, no_attention(heads, tokens));
  listeners.taps.on_attention = [this, write, tokens](const AttentionView& view) {
    write(view.layer + 1, captured_attention(environment_.inputs.checkpoint.architecture(),
                                             environment_.group, view, tokens));
  };
}

Verdict SegmentRunner::run_prompt(const std::string& name, int64_t number, bool is_last) {
  const auto& inputs = environment_.inputs;
  const auto& prompt = inputs.prompts.at(name);
  const auto labels = label_prompt(inputs, prompt, environment_.group.rank());
  const std::string group = "capture/" + name;
  auto extents = extents_of({});
  extents[Axis::kPromptToken] = extents[Axis::kPromptKey] = labels.tokens;
  output_ =
      environment_.writer.begin_prompt(number, capture_datasets(inputs.datasets, name), extents);
  if (output_) {
    const auto bytes = std::as_bytes(std::span(prompt.ids));
    output_->write(group + "/id", {0}, {labels.tokens}, {bytes.begin(), bytes.end()});
  }
  BlockPass::Listeners listeners;
  capture_sites(group, labels.tokens, listeners);
  const int64_t choices = inputs.checkpoint.architecture().experts.chosen;
  const auto write_experts = [&](int64_t layer, const at::Tensor& chosen) {
    if (!output_) return;
    const auto mine = chosen.defined() ? chosen.narrow(0, 0, labels.tokens).cpu().contiguous()
                                       : at::full({labels.tokens, choices}, -1, at::kLong);
    output_->write(group + "/expert", {layer, 0, 0}, {1, labels.tokens, choices}, bytes_of(mine));
  };
  if (choices > 0) {
    listeners.on_experts = write_experts;
    write_experts(0, at::Tensor());
  }
  if (inputs.job.capture.attention) {
    capture_attention(group, labels.tokens, listeners);
  }
  listeners.after_layer = [&](int64_t) {
    verdict_ = check_stop(0);
    return verdict_ == Verdict::kGoOn || verdict_ == Verdict::kFinishSegment;
  };
  const bool is_done = pass_.run(labels, is_last, listeners);
  if (is_done && output_) {
    output_->finish({});
    output_->commit();
  }
  output_.reset();
  return verdict_;
}

}  // namespace actsweep
