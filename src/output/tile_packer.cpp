#include "output/tile_packer.h"

#include <algorithm>

#include "output/chunk_writer.h"

namespace actsweep {
namespace {

/// Where the chunks of a part begin, which itself begins at one.
std::vector<std::vector<hsize_t>> chunk_offsets(const Hyperslab& part,
                                                const std::vector<hsize_t>& chunk) {
  std::vector<std::vector<hsize_t>> offsets = {part.offset};
  for (size_t axis = 0; axis < chunk.size(); ++axis) {
    std::vector<std::vector<hsize_t>> all;
    for (auto offset : offsets) {
      const hsize_t end = part.offset[axis] + part.count[axis];
      for (; offset[axis] < end; offset[axis] += chunk[axis]) all.push_back(offset);
    }
    offsets = std::move(all);
  }
  return offsets;
}

}  // namespace

TilePacker::TilePacker(RowOrigin origin, int threads)
    : origin_(std::move(origin)),
      threads_(threads),
      reader_(origin_.parts, origin_.lengths, origin_.adds_offsets) {}

void TilePacker::begin(const Dataset& dataset, const Extents& extents) {
  dataset_ = &dataset;
  extents_ = &extents;
  view_ = view_of(dataset, extents);
  chunk_ = chunk_shape(dataset, view_.shape);
  sources_ = chunk_sources(origin_.parts, origin_.lengths, origin_.adds_offsets, dataset, extents);
}

std::vector<PackedChunk> TilePacker::pack(const RowTile& tile) {
  std::vector<PackedChunk> chunks;
  const auto length = static_cast<int64_t>(chunk_[view_.axis]);
  const int64_t end = tile.first_row + tile.rows;
  const auto source_of = [&](int64_t row) { return sources_[static_cast<size_t>(row / length)]; };
  for (int64_t row = tile.first_row; row < end;) {
    int64_t next = std::min(end, row + length);
    if (const auto source = source_of(row)) {
      copy({tile.first_layer, tile.layers, row, next - row}, *source, chunks);
    } else {
      while (next < end && !source_of(next)) next = std::min(end, next + length);
      join({tile.first_layer, tile.layers, row, next - row}, chunks);
    }
    row = next;
  }
  return chunks;
}

void TilePacker::copy(const RowTile& column, const ChunkSource& source,
                      std::vector<PackedChunk>& chunks) {
  const H5Dataset from = origin_.parts.file(source.file).dataset(dataset_->path);
  for (auto& offset : chunk_offsets(slab_of(view_, column), chunk_)) {
    auto in_file = offset;
    in_file[view_.axis] = static_cast<hsize_t>(source.first_row);
    chunks.push_back({std::move(offset), from.read_chunk(in_file)});
  }
}

void TilePacker::join(const RowTile& columns, std::vector<PackedChunk>& chunks) {
  auto joined =
      pack_chunks({*dataset_, view_.shape}, slab_of(view_, columns), read(columns), threads_);
  std::move(joined.begin(), joined.end(), std::back_inserter(chunks));
}

}  // namespace actsweep
