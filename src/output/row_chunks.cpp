#include "output/row_chunks.h"

#include <algorithm>
#include <cstring>

namespace actsweep {
namespace {

/// Layers lie before the rows, or, in the store, behind them.
std::optional<size_t> layer_axis_of(const Dataset& dataset, size_t axis) {
  if (axis == 1) return 0;
  if (is_stored(dataset) && dataset.axes.size() > 1) return 1;
  return std::nullopt;
}

int64_t bytes_of_row(const Dataset& dataset, const std::vector<hsize_t>& chunk, size_t axis,
                     std::optional<size_t> layer_axis) {
  auto row = chunk;
  row[axis] = 1;
  ensure(!layer_axis || row[*layer_axis] == 1, "a chunk has rows of one layer");
  return byte_count(dataset, row);
}

}  // namespace

RowChunks::RowChunks(ChunkPacker& packer, const Dataset& dataset, const std::vector<hsize_t>& chunk,
                     int64_t padding, std::optional<int64_t> rows)
    : packer_(packer),
      chunk_(chunk),
      size_{static_cast<size_t>(byte_count(dataset, chunk)), size_of(dataset.type)},
      axis_(*concatenation_axis(dataset)),
      layer_axis_(layer_axis_of(dataset, axis_)),
      row_bytes_(bytes_of_row(dataset, chunk, axis_, layer_axis_)),
      padding_(padding) {
  if (rows) end_ = padding + *rows;
}

/// Those of a chunk that hold values, padding counted.
RowChunks::Range RowChunks::rows_in(int64_t chunk) const {
  const auto length = static_cast<int64_t>(chunk_[axis_]);
  const int64_t last = (chunk + 1) * length;
  return {std::max(padding_, chunk * length), end_ ? std::min(*end_, last) : last};
}

std::vector<PackedChunk> RowChunks::add(const Hyperslab& part, const std::byte* values) {
  for (size_t i = 0; i < chunk_.size(); ++i) {
    ensure(i == axis_ || i == layer_axis_ || part.count[i] == chunk_[i], "rows come whole");
  }
  const auto rows = static_cast<int64_t>(part.count[axis_]);
  const auto layers = layer_axis_ ? static_cast<int64_t>(part.count[*layer_axis_]) : 1;
  const auto first_layer = layer_axis_ ? static_cast<int64_t>(part.offset[*layer_axis_]) : 0;
  const bool is_layer_first = axis_ == 1;
  const int64_t stride = is_layer_first ? row_bytes_ : layers * row_bytes_;
  const int64_t begin = padding_ + static_cast<int64_t>(part.offset[axis_]);
  std::vector<PackedChunk> whole;
  for (int64_t layer = 0; layer < layers; ++layer) {
    const auto* first = values + layer * (is_layer_first ? rows * row_bytes_ : row_bytes_);
    add_layer(first_layer + layer, {{begin, begin + rows}, first, stride}, whole);
  }
  return whole;
}

void RowChunks::add_layer(int64_t layer, const Rows& rows, std::vector<PackedChunk>& whole) {
  const auto length = static_cast<int64_t>(chunk_[axis_]);
  for (int64_t begin = rows.range.begin; begin < rows.range.end;) {
    const int64_t chunk = begin / length;
    const auto own = rows_in(chunk);
    const Rows piece = {{begin, std::min(own.end, rows.range.end)},
                        rows.values + (begin - rows.range.begin) * rows.stride,
                        rows.stride};
    ensure(piece.range.end > begin, "rows lie within their dataset");
    const bool is_whole = begin == own.begin && piece.range.end == own.end;
    if (is_whole && rows.stride == row_bytes_) {
      const auto bytes = static_cast<size_t>((own.end - own.begin) * row_bytes_);
      whole.push_back(pack({layer, chunk}, {piece.values, bytes}));
    } else {
      keep({layer, chunk}, piece, whole);
    }
    begin = piece.range.end;
  }
}

void RowChunks::keep(const Place& place, const Rows& rows, std::vector<PackedChunk>& whole) {
  const auto own = rows_in(place.second);
  auto& pending = pending_[place];
  const int64_t known = end_ ? own.end : rows.range.end;
  const auto bytes = static_cast<size_t>((known - own.begin) * row_bytes_);
  if (pending.values.size() < bytes) pending.values.resize(bytes);
  auto* to = pending.values.data() + (rows.range.begin - own.begin) * row_bytes_;
  const auto* from = rows.values;
  for (int64_t row = rows.range.begin; row < rows.range.end;) {
    const int64_t together = rows.stride == row_bytes_ ? rows.range.end - row : 1;
    std::memcpy(to, from, static_cast<size_t>(together * row_bytes_));
    to += together * row_bytes_;
    from += together * rows.stride;
    row += together;
  }
  pending.rows += rows.range.end - rows.range.begin;
  if (pending.rows < own.end - own.begin) return;
  whole.push_back(pack(place, pending.values));
  pending_.erase(place);
}

PackedChunk RowChunks::pack(const Place& place, std::span<const std::byte> values) {
  const auto length = static_cast<int64_t>(chunk_[axis_]);
  PackedChunk chunk{std::vector<hsize_t>(chunk_.size(), 0), {}};
  chunk.offset[axis_] = static_cast<hsize_t>(place.second * length);
  if (layer_axis_) chunk.offset[*layer_axis_] = static_cast<hsize_t>(place.first);
  const int64_t before = rows_in(place.second).begin - place.second * length;
  chunk.bytes = packer_.pack(size_, values, static_cast<size_t>(before * row_bytes_));
  return chunk;
}

std::vector<PackedChunk> RowChunks::finish(int64_t rows) {
  end_ = padding_ + rows;
  std::vector<PackedChunk> last;
  for (const auto& [place, pending] : pending_) {
    const auto own = rows_in(place.second);
    ensure(pending.rows == own.end - own.begin, "every row of a segment has come");
    last.push_back(pack(place, pending.values));
  }
  pending_.clear();
  return last;
}

}  // namespace actsweep
