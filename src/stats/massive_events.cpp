#include "stats/massive_events.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "schema/declare_statistics.h"

namespace actsweep {

MassiveEvents::MassiveEvents(const Job& job, const Extents& extents, at::Device device)
    : Statistic(FieldSet(declare_massive_counts(), extents, device)),
      criterion_(job),
      max_events_(job.statistics.max_events),
      top_k_(job.statistics.top_k),
      channels_(extents.at(Axis::kChannel)) {}

namespace {

/// Rows `row` of `rows`, on the host; undefined where these are.
at::Tensor rows_on_host(const at::Tensor& rows, const std::vector<int64_t>& row) {
  if (!rows.defined()) return {};
  return rows.index_select(0, at::tensor(row, at::kLong).to(rows.device())).to(at::kCPU);
}

const float* row_of(const at::Tensor& rows, size_t row) {
  return rows.defined() ? rows.const_data_ptr<float>() + static_cast<int64_t>(row) * rows.size(1)
                        : nullptr;
}

}  // namespace

void MassiveEvents::update(const SiteBatch& batch, const Measured& measured,
                           const Outputs& outputs) {
  if (batch.before.defined()) find_changes(batch, outputs.events);
  const std::vector<Suspect> suspects = find_suspects(*batch.labels, measured);
  if (suspects.empty()) return;
  std::vector<int64_t> row;
  for (const Suspect& suspect : suspects) row.push_back(suspect.row);
  const auto values = rows_on_host(batch.rows, row);  // [suspects, C] float32
  const auto before = rows_on_host(batch.before, row), between = rows_on_host(batch.between, row);
  int64_t left_out = 0;
  for (size_t i = 0; i < suspects.size(); ++i) {
    find_events({row_of(values, i), row_of(before, i), row_of(between, i)}, suspects[i],
                describe(batch, suspects[i]));
    const bool ends_window =
        i + 1 == suspects.size() || suspects[i + 1].window != suspects[i].window;
    if (ends_window) left_out += keep_largest(outputs.events);
  }
  if (left_out > 0) fields_.layer("events_left_out", batch.layer).add_(left_out);
}

/// If any activation of a token passes, so does its largest: the others need not be looked at.
std::vector<MassiveEvents::Suspect> MassiveEvents::find_suspects(const OwnedRows& labels,
                                                                 const Measured& measured) const {
  std::vector<Suspect> suspects;
  int64_t token = 0;
  for (size_t i = 0; i < labels.windows.size(); ++i) {
    const float sequence_median = measured.sequence_median[i];
    for (int64_t position = 0; position < labels.windows[i].length(); ++position, ++token) {
      const float largest = std::fabs(measured.token_top_value[token * top_k_]);
      const float token_median = measured.token_median[token];
      if (!criterion_.passes(largest, sequence_median) &&
          !criterion_.passes(largest, token_median)) {
        continue;
      }
      const int64_t window = static_cast<int64_t>(i);
      suspects.push_back({window, position, window * labels.padded_length + position,
                          sequence_median, token_median});
    }
  }
  return suspects;
}

/// What the events of one token have in common.
Event MassiveEvents::describe(const SiteBatch& batch, const Suspect& suspect) const {
  const OwnedRows& labels = *batch.labels;
  const Window& window = labels.windows[suspect.window];
  Event event;
  event.layer = batch.layer;
  event.sequence = window.sequence;
  event.position = suspect.position;
  event.document = labels.document[suspect.row];
  event.token = window.first_token + suspect.position;
  event.token_id = labels.token_id[suspect.row];
  event.token_class = labels.token_class[suspect.row];
  return event;
}

/// Tells the events of the layer before what this one has changed of them.
void MassiveEvents::find_changes(const SiteBatch& batch, std::vector<Event>& events) const {
  const OwnedRows& labels = *batch.labels;
  if (labels.windows.empty()) return;
  const int64_t first = labels.windows.front().sequence, last = labels.windows.back().sequence;
  std::vector<Event*> changed;
  std::vector<int64_t> place;  // in the rows, as one run of elements
  // Behind those of the layer's input stand at most those of its output.
  for (auto event = events.rbegin(); event != events.rend() && event->layer + 1 >= batch.layer;
       ++event) {
    const bool is_here = event->sequence >= first && event->sequence <= last;
    if (event->layer + 1 != batch.layer || !is_here) continue;
    const int64_t row = (event->sequence - first) * labels.padded_length + event->position;
    changed.push_back(&*event);
    place.push_back(row * channels_ + event->channel);
  }
  if (changed.empty()) return;
  const auto index = at::tensor(place, at::kLong).to(batch.rows.device());
  const auto at_places = [&](const at::Tensor& rows) {
    return rows.view({-1}).index_select(0, index);
  };
  const auto before = at_places(batch.before), between = at_places(batch.between);
  const auto updates = at::stack({between - before, at_places(batch.rows) - between}).to(at::kCPU);
  const auto* update = updates.const_data_ptr<float>();
  for (size_t i = 0; i < changed.size(); ++i) {
    changed[i]->next_attention_update = update[i];
    changed[i]->next_mlp_update = update[changed.size() + i];
  }
}

void MassiveEvents::find_events(const SuspectRows& rows, const Suspect& suspect,
                                const Event& description) {
  for (int64_t channel = 0; channel < channels_; ++channel) {
    const float value = rows.value[channel], magnitude = std::fabs(value);
    uint8_t reading = 0;
    if (criterion_.passes(magnitude, suspect.sequence_median)) reading |= kReadingSequenceMedian;
    if (criterion_.passes(magnitude, suspect.token_median)) reading |= kReadingTokenMedian;
    if (reading == 0) continue;
    Event event = description;
    event.reading = reading;
    event.channel = static_cast<uint32_t>(channel);
    event.value = value;
    event.before = rows.before ? rows.before[channel] : value;
    const float between = rows.between ? rows.between[channel] : value;
    event.attention_update = between - event.before;
    event.mlp_update = value - between;
    event.ratio_to_sequence_median = magnitude / suspect.sequence_median;
    event.ratio_to_token_median = magnitude / suspect.token_median;
    found_.push_back(event);
  }
}

/// Moves the window's largest events to `events`; returns how many are left out.
int64_t MassiveEvents::keep_largest(std::vector<Event>& events) {
  const auto comes_first = [](const Event& a, const Event& b) {
    return std::tuple(-std::fabs(a.value), a.position, a.channel) <
           std::tuple(-std::fabs(b.value), b.position, b.channel);
  };
  const int64_t found = static_cast<int64_t>(found_.size());
  const int64_t kept = std::min(found, max_events_);
  std::partial_sort(found_.begin(), found_.begin() + kept, found_.end(), comes_first);
  events.insert(events.end(), found_.begin(), found_.begin() + kept);
  found_.clear();
  return found - kept;
}

}  // namespace actsweep
