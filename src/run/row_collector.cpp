#include "run/row_collector.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "base/error.h"

namespace actsweep {
namespace {

bool has_axis(const Dataset& dataset, Axis axis) {
  return std::find(dataset.axes.begin(), dataset.axes.end(), axis) != dataset.axes.end();
}

void add_bytes(std::vector<std::byte>& into, std::span<const std::byte> values) {
  into.insert(into.end(), values.begin(), values.end());
}

/// Reads parts front to back.
class Cursor {
 public:
  explicit Cursor(const std::vector<std::byte>& bytes) : bytes_(bytes) {}
  std::span<const std::byte> take(int64_t count) {
    ensure(at_ + count <= bytes_.size(), "a gathered part holds what its rank counted");
    const std::span<const std::byte> taken(bytes_.data() + at_, count);
    at_ += count;
    return taken;
  }
  int64_t take_number() {
    int64_t number = 0;
    std::memcpy(&number, take(sizeof(number)).data(), sizeof(number));
    return number;
  }

 private:
  const std::vector<std::byte>& bytes_;
  size_t at_ = 0;
};

void add_number(std::vector<std::byte>& into, int64_t number) {
  add_bytes(into, std::as_bytes(std::span(&number, 1)));
}

}  // namespace

RowCollector::RowCollector(const Group& group, SegmentOutput* output, const SweepFacts& facts)
    : group_(group), output_(output), facts_(facts) {
  for (const auto& dataset : facts_.datasets) {
    if (dataset.merge != Merge::kRows) continue;
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

RowCollector::Buffer& RowCollector::buffer_of(const Dataset& dataset) {
  const auto found = buffers_.find(dataset.path);
  ensure(found != buffers_.end(), "a statistic appends rows that the job declares");
  return found->second;
}

void RowCollector::begin_block(const BlockLabels& labels) {
  labels_ = &labels;
  const auto row_token = buffers_.find("tokens/row_token");
  if (row_token == buffers_.end()) return;
  for (const auto& batch : labels.own) {
    for (const auto& window : batch.windows) {
      for (int64_t i = 0; i < window.length(); ++i) {
        add_number(row_token->second.fresh, window.first_token + i);
      }
    }
  }
}

void RowCollector::append(const Dataset& dataset, std::span<const std::byte> values) {
  add_bytes(buffer_of(dataset).fresh, values);
}

void RowCollector::flush_layer(int64_t layer) {
  std::vector<Buffer*> sent;
  for (auto& [path, buffer] : buffers_) {
    if (buffer.fresh.empty() && !has_axis(*buffer.dataset, Axis::kLayer)) continue;
    if (!has_axis(*buffer.dataset, Axis::kRow)) {
      sent.push_back(&buffer);
      continue;
    }
    const auto fresh = std::span(buffer.fresh);
    const size_t part = fresh.size() / buffer.variants;
    for (int64_t variant = 0; variant < buffer.variants; ++variant) {
      const auto values = fresh.subspan(variant * part, part);
      buffer.by_layer.emplace_back(values.begin(), values.end());
    }
    buffer.fresh.clear();
  }
  if (sent.empty()) return;
  auto values = gather_fresh(sent);
  if (output_ == nullptr) return;
  for (size_t i = 0; i < sent.size(); ++i) write_layer(*sent[i], layer, std::move(values[i]));
}

std::vector<std::vector<std::byte>> RowCollector::gather_fresh(
    const std::vector<Buffer*>& buffers) {
  std::vector<std::vector<std::byte>> values(buffers.size());
  if (group_.size() == 1) {  // a rank alone has them in order
    for (size_t i = 0; i < buffers.size(); ++i) {
      const size_t bytes = buffers[i]->fresh.size();
      values[i] = std::exchange(buffers[i]->fresh, {});
      buffers[i]->fresh.reserve(bytes);  // as many again in the next layer
    }
    return values;
  }
  std::vector<std::byte> mine;
  for (auto* buffer : buffers) {
    add_bytes(mine, buffer->fresh);
    buffer->fresh.clear();
  }
  const auto parts = group_.gather_bytes(mine, 0);
  if (output_ == nullptr) return values;
  std::vector<Cursor> cursors(parts.begin(), parts.end());
  for (size_t i = 0; i < buffers.size(); ++i) {
    const auto& buffer = *buffers[i];
    const bool is_by_sequence = has_axis(*buffer.dataset, Axis::kSequence);
    // Each part holds its micro-batches one after another, for each variant where there are some;
    // the file wants micro-batches of all members in turn.
    const size_t batches = labels_->counts.size();
    std::vector<std::vector<std::span<const std::byte>>> pieces(buffer.variants * batches);
    for (int member = 0; member < group_.size(); ++member) {
      for (size_t piece = 0; piece < pieces.size(); ++piece) {
        const auto& count = labels_->counts[piece % batches][member];
        const int64_t items = is_by_sequence ? count.sequences : count.tokens;
        pieces[piece].push_back(cursors[member].take(items * buffer.item_bytes));
      }
    }
    for (const auto& batch : pieces) {
      for (const auto& piece : batch) add_bytes(values[i], piece);
    }
  }
  return values;
}

void RowCollector::write_layer(const Buffer& buffer, int64_t layer, std::vector<std::byte> values) {
  const auto& dataset = *buffer.dataset;
  const bool is_by_sequence = has_axis(dataset, Axis::kSequence);
  std::vector<int64_t> offset, count;
  for (const auto axis : dataset.axes) {
    if (axis == Axis::kLayer) {
      offset.push_back(layer);
      count.push_back(1);
    } else if (axis == Axis::kToken || axis == Axis::kSequence) {
      offset.push_back(is_by_sequence ? labels_->first_sequence : labels_->first_token);
      count.push_back(is_by_sequence ? labels_->sequences : labels_->tokens);
    } else {
      offset.push_back(0);
      count.push_back(axis_length(facts_, axis));
    }
  }
  output_->write(dataset.path, std::move(offset), std::move(count), std::move(values));
}

std::vector<int64_t> RowCollector::selected_tokens(std::span<const Event> events,
                                                   std::vector<int64_t>& counts) const {
  std::set<int64_t> with_event;
  for (const auto& event : events) with_event.insert(event.token);
  std::vector<int64_t> selected;
  int64_t own_token = 0;
  for (const auto& batch : labels_->own) {
    const auto before = selected.size();
    for (const auto& window : batch.windows) {
      for (int64_t i = 0; i < window.length(); ++i, ++own_token) {
        if (with_event.contains(window.first_token + i)) selected.push_back(own_token);
      }
    }
    counts.push_back(static_cast<int64_t>(selected.size() - before));
  }
  return selected;
}

void RowCollector::flush_rows(std::span<const Event> events) {
  if (facts_.job.output.per_token != PerToken::kMassive) return;
  std::vector<int64_t> counts;
  const auto selected = selected_tokens(events, counts);
  std::vector<std::byte> mine;
  for (const auto count : counts) add_number(mine, count);
  for (auto& [path, buffer] : buffers_) {
    if (!has_axis(*buffer.dataset, Axis::kRow)) continue;
    for (const auto& layer : buffer.by_layer) {
      for (const auto token : selected) {
        add_bytes(mine, std::span(layer).subspan(token * buffer.item_bytes, buffer.item_bytes));
      }
    }
  }
  const auto parts = group_.gather_bytes(mine, 0);
  if (output_ != nullptr) write_rows(parts);
  for (auto& [path, buffer] : buffers_) buffer.by_layer.clear();
}

void RowCollector::write_rows(const std::vector<std::vector<std::byte>>& parts) {
  std::vector<Cursor> cursors(parts.begin(), parts.end());
  std::vector<std::vector<int64_t>> counts(parts.size());
  int64_t total = 0;
  for (size_t member = 0; member < parts.size(); ++member) {
    for (size_t batch = 0; batch < labels_->own.size(); ++batch) {
      counts[member].push_back(cursors[member].take_number());
      total += counts[member].back();
    }
  }
  for (const auto& [path, buffer] : buffers_) {
    if (!has_axis(*buffer.dataset, Axis::kRow)) continue;
    const auto layers = buffer.by_layer.size();
    // [layer][micro-batch][member] -> values [layers, total, ...]
    std::vector<std::vector<std::span<const std::byte>>> pieces(layers * labels_->own.size());
    for (size_t member = 0; member < parts.size(); ++member) {
      for (size_t layer = 0; layer < layers; ++layer) {
        for (size_t batch = 0; batch < labels_->own.size(); ++batch) {
          pieces[layer * labels_->own.size() + batch].push_back(
              cursors[member].take(counts[member][batch] * buffer.item_bytes));
        }
      }
    }
    std::vector<std::byte> values;
    for (const auto& piece : pieces) {
      for (const auto& bytes : piece) add_bytes(values, bytes);
    }
    output_->append(path, total, std::move(values));
  }
}

}  // namespace actsweep
