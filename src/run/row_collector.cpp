#include "run/row_collector.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "output/layout.h"

namespace actsweep {
namespace {

bool has_axis(const Dataset& dataset, Axis axis) {
  return std::find(dataset.axes.begin(), dataset.axes.end(), axis) != dataset.axes.end();
}

void add_bytes(std::vector<std::byte>& into, std::span<const std::byte> values) {
  into.insert(into.end(), values.begin(), values.end());
}

}  // namespace

RowCollector::RowCollector(SegmentOutput& output, const SweepFacts& facts)
    : output_(output), facts_(facts) {
  for (const auto& dataset : facts_.datasets) {
    if (dataset.merge != Merge::kRows || is_stored(dataset)) continue;
    int64_t item_bytes = size_of(dataset.type);
    for (const auto axis : dataset.axes) {
      const bool is_counted =
          is_outer(axis) || axis == Axis::kToken || axis == Axis::kRow || axis == Axis::kSequence;
      if (!is_counted) item_bytes *= axis_length(facts_, axis);
    }
    const int64_t variants =
        has_axis(dataset, Axis::kVariant) ? axis_length(facts_, Axis::kVariant) : 1;
    buffers_[dataset.path] = {&dataset, item_bytes, variants, {}, {}};
  }
}

RowCollector::Buffer& RowCollector::buffer_of(const std::string& path) {
  const auto found = buffers_.find(path);
  ensure(found != buffers_.end(), "a statistic appends rows that the job declares");
  return found->second;
}

void RowCollector::begin_block(const BlockLabels& labels, const std::vector<Column>& columns) {
  labels_ = &labels;
  for (const auto& column : columns) add_bytes(buffer_of(column.path).fresh, column.values);
  if (facts_.job.keeps_event_rows()) add_row_tokens();
}

/// The number of every token among those measured, from which flush_rows picks.
void RowCollector::add_row_tokens() {
  auto& fresh = buffer_of("tokens/row_token").fresh;
  for (const auto& batch : labels_->own) {
    for (const auto& window : batch.windows) {
      for (int64_t i = 0; i < window.length(); ++i) {
        const int64_t token = window.first_token + i;
        add_bytes(fresh, std::as_bytes(std::span(&token, 1)));
      }
    }
  }
}

void RowCollector::append(const Dataset& dataset, std::span<const std::byte> values) {
  add_bytes(buffer_of(dataset.path).fresh, values);
}

void RowCollector::flush_layer(int64_t layer) {
  for (auto& [path, buffer] : buffers_) {
    if (buffer.fresh.empty()) continue;
    if (has_axis(*buffer.dataset, Axis::kRow)) {
      keep_layer(buffer);
    } else {
      write_layer(buffer, layer);
    }
  }
}

void RowCollector::keep_layer(Buffer& buffer) {
  const auto fresh = std::span(buffer.fresh);
  const size_t part = fresh.size() / buffer.variants;
  for (int64_t variant = 0; variant < buffer.variants; ++variant) {
    const auto values = fresh.subspan(variant * part, part);
    buffer.by_layer.emplace_back(values.begin(), values.end());
  }
  buffer.fresh.clear();
}

void RowCollector::write_layer(Buffer& buffer, int64_t layer) {
  const auto& dataset = *buffer.dataset;
  std::vector<int64_t> offset, count;
  for (const auto axis : dataset.axes) {
    if (axis == Axis::kLayer) {
      offset.push_back(layer);
      count.push_back(1);
    } else if (axis == Axis::kToken || axis == Axis::kSequence) {
      offset.push_back(labels_->before.along(axis));
      count.push_back(labels_->owned.along(axis));
    } else {
      offset.push_back(0);
      count.push_back(axis_length(facts_, axis));
    }
  }
  const size_t bytes = buffer.fresh.size();
  ensure(element_count({count.begin(), count.end()}) * size_of(dataset.type) ==
             static_cast<int64_t>(bytes),
         "a layer's rows are those of all tokens or sequences that the rank owns");
  output_.write(dataset.path, std::move(offset), std::move(count), std::exchange(buffer.fresh, {}));
  buffer.fresh.reserve(bytes);  // as many again in the next layer
}

void RowCollector::flush_rows(std::span<const Event> events) {
  if (!facts_.job.keeps_event_rows()) return;
  const auto selected = tokens_with_event(*labels_, events);
  for (auto& [path, buffer] : buffers_) {
    if (!has_axis(*buffer.dataset, Axis::kRow)) continue;
    std::vector<std::byte> values;  // [layers, selected, ...]
    for (const auto& layer : std::exchange(buffer.by_layer, {})) {
      for (const auto token : selected) {
        add_bytes(values, std::span(layer).subspan(token * buffer.item_bytes, buffer.item_bytes));
      }
    }
    output_.append(path, static_cast<int64_t>(selected.size()), std::move(values));
  }
}

}  // namespace actsweep
