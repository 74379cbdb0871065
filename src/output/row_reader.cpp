#include "output/row_reader.h"

#include <cstring>

#include "output/row_place.h"

namespace actsweep {
namespace {

/// The first bytes of a buffer, which grows where it must.
std::span<std::byte> room_in(std::vector<std::byte>& buffer, size_t bytes) {
  if (buffer.size() < bytes) {
    buffer.clear();  // nothing to move
    buffer.resize(bytes);
  }
  return std::span(buffer).first(bytes);
}

}  // namespace

RowReader::RowReader(Parts& parts, std::vector<PartLengths> lengths, bool adds_offsets)
    : parts_(parts), lengths_(std::move(lengths)), adds_offsets_(adds_offsets) {}

int64_t RowReader::length_of(PartFile file, Axis along) {
  const auto& lengths = lengths_[file.part];
  if (lengths.members == 1) return lengths.counts.along(along);
  return sum_of(parts_.counts(file.part, lengths.members)[file.member]).along(along);
}

std::span<const std::byte> RowReader::read(const Dataset& dataset, const Extents& extents,
                                           const RowTile& tile) {
  const RowView view = view_of(dataset, extents);
  const auto bytes = static_cast<size_t>(tile.layers * tile.rows * view.row_bytes);
  const Wanted wanted{dataset, extents, view, tile, room_in(values_, bytes)};
  int64_t begin = 0;  // of the part
  for (size_t part = 0; part < parts_.count(); ++part) {
    const int64_t end = begin + lengths_[part].counts.along(wanted.along());
    if (begin < tile.first_row + tile.rows && end > tile.first_row) read_part(part, begin, wanted);
    begin = end;
  }
  return wanted.values;
}

/// What of the tile lies in one part.
void RowReader::read_part(size_t part, int64_t part_begin, const Wanted& wanted) {
  const int64_t begin = wanted.tile.first_row - part_begin;
  const auto runs = runs_of(parts_, part, lengths_[part], wanted.along());
  for (int64_t member = 0; member < lengths_[part].members; ++member) {
    auto in_tile = runs_between(runs, member, begin, begin + wanted.tile.rows);
    for (auto& run : in_tile) run.first -= begin;
    if (!in_tile.empty()) read_file({part, member}, in_tile, wanted);
  }
}

/// What of the tile lies in one file: there it is one run. `runs` say where in the tile it belongs.
void RowReader::read_file(PartFile file, std::span<const RowRun> runs, const Wanted& wanted) {
  const auto& tile = wanted.tile;
  const int64_t first = runs.front().in_file, rows = runs.back().in_file + runs.back().rows - first;
  const auto run_bytes = static_cast<size_t>(rows * wanted.view.row_bytes);
  const bool is_whole = rows == tile.rows;
  const auto piece =
      is_whole ? wanted.values : room_in(piece_, static_cast<size_t>(tile.layers) * run_bytes);
  Extents known = wanted.extents;
  known[wanted.along()] = length_of(file, wanted.along());
  auto slab = slab_of(wanted.view, {tile.first_layer, tile.layers, first, rows});
  const auto opened = parts_.dataset(file, wanted.dataset, known);
  slab.offset[wanted.view.axis] += static_cast<hsize_t>(padding_of(opened));
  opened.read(memory_type(wanted.dataset.type), slab, piece.data());
  if (adds_offsets_) add_offset(wanted.dataset, lengths_, file.part, piece);
  if (is_whole) return;
  const auto row_bytes = static_cast<size_t>(wanted.view.row_bytes);
  const auto tile_bytes = static_cast<size_t>(tile.rows) * row_bytes;
  for (const auto& run : runs) {
    for (size_t layer = 0; layer < static_cast<size_t>(tile.layers); ++layer) {
      std::memcpy(wanted.values.data() + layer * tile_bytes + run.first * row_bytes,
                  piece.data() + layer * run_bytes + (run.in_file - first) * row_bytes,
                  run.rows * row_bytes);
    }
  }
}

}  // namespace actsweep
