#include "output/rows.h"

#include <algorithm>
#include <cstring>

#include "comm/agreement.h"
#include "output/chunk_writer.h"

namespace actsweep {
namespace {

constexpr int64_t kTileBytes = 32 * 1024 * 1024;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// How a concatenated dataset is seen here: [layers, rows, trailing], where layers is 1 without an
/// axis before the rows'.
struct RowView {
  bool has_layers = false;
  size_t axis = 0;
  int64_t layers = 1;
  int64_t rows = 0;
  int64_t row_bytes = 0;
  std::vector<hsize_t> shape;
};

RowView view_of(const Dataset& dataset, const Extents& extents) {
  RowView view;
  view.axis = *concatenation_axis(dataset);
  view.shape = shape_of(dataset, extents);
  view.has_layers = view.axis == 1;
  ensure(view.axis <= 1, "rows lie first, or second after the layers");
  if (view.has_layers) view.layers = static_cast<int64_t>(view.shape[0]);
  view.rows = static_cast<int64_t>(view.shape[view.axis]);
  view.row_bytes = size_of(dataset.type);
  for (size_t i = view.axis + 1; i < view.shape.size(); ++i) {
    view.row_bytes *= static_cast<int64_t>(view.shape[i]);
  }
  return view;
}

Hyperslab slab_of(const RowView& view, const RowTile& tile) {
  Hyperslab slab{std::vector<hsize_t>(view.shape.size(), 0), view.shape};
  if (view.has_layers) {
    slab.offset[0] = static_cast<hsize_t>(tile.first_layer);
    slab.count[0] = static_cast<hsize_t>(tile.layers);
  }
  slab.offset[view.axis] = static_cast<hsize_t>(tile.first_row);
  slab.count[view.axis] = static_cast<hsize_t>(tile.rows);
  return slab;
}

/// The first bytes of a buffer, which grows where it must.
std::span<std::byte> room_in(std::vector<std::byte>& buffer, size_t bytes) {
  if (buffer.size() < bytes) {
    buffer.clear();  // nothing to move
    buffer.resize(bytes);
  }
  return std::span(buffer).first(bytes);
}

/// The ranks wrote together, not one after the other behind our back.
void check_collective(const H5Dataset& dataset, hid_t transfer) {
  uint32_t local = 0, global = 0;
  dataset.check(H5Pget_mpio_no_collective_cause(transfer, &local, &global),
                "ask whether the write was collective");
  ensure(global == H5D_MPIO_COLLECTIVE, "rows are written collectively");
}

}  // namespace

std::vector<RowTile> cut_tiles(int64_t layers, int64_t rows, int64_t row_bytes, int ranks) {
  std::vector<RowTile> tiles;
  if (layers * rows * row_bytes == 0) return tiles;
  const int64_t columns = ceil_div(rows, kChunkRows);
  const int64_t chunk_bytes = std::min(rows, kChunkRows) * row_bytes;
  const int64_t most = std::max<int64_t>(1, kTileBytes / chunk_bytes);
  const int64_t chunks = std::min(most, ceil_div(layers * columns, ranks));
  const int64_t tile_layers = std::min(layers, chunks);
  const int64_t tile_rows = kChunkRows * std::max<int64_t>(1, chunks / layers);
  for (int64_t row = 0; row < rows; row += tile_rows) {
    for (int64_t layer = 0; layer < layers; layer += tile_layers) {
      tiles.push_back(
          {layer, std::min(tile_layers, layers - layer), row, std::min(tile_rows, rows - row)});
    }
  }
  return tiles;
}

RowWriter::RowWriter(Parts& parts, std::vector<PartLengths> lengths, bool adds_offsets,
                     MPI_Comm comm, int threads)
    : parts_(parts),
      lengths_(std::move(lengths)),
      adds_offsets_(adds_offsets),
      comm_(comm),
      threads_(threads) {}

void RowWriter::add_offset(const Dataset& dataset, size_t part, std::span<std::byte> values) const {
  if (!adds_offsets_ || (!dataset.index_of && !dataset.counts_documents)) return;
  ensure(dataset.type == ElementType::kInt64, "values that count along an axis are int64");
  const PartLengths before = total_of(lengths_, part);
  const int64_t offset = dataset.index_of ? before.along(*dataset.index_of) : before.documents;
  auto* numbers = reinterpret_cast<int64_t*>(values.data());
  for (size_t i = 0; i < values.size() / sizeof(int64_t); ++i) numbers[i] += offset;
}

std::span<const std::byte> RowWriter::read(const Dataset& dataset, const Extents& extents,
                                           const RowTile& tile) {
  const RowView view = view_of(dataset, extents);
  const Axis along = dataset.axes[view.axis];
  const auto tile_row_bytes = static_cast<size_t>(tile.rows * view.row_bytes);
  const auto values = room_in(values_, static_cast<size_t>(tile.layers) * tile_row_bytes);
  int64_t part_begin = 0;
  for (size_t part = 0; part < parts_.count(); ++part) {
    const int64_t length = lengths_[part].along(along);
    const int64_t begin = std::max(tile.first_row, part_begin);
    const int64_t end = std::min(tile.first_row + tile.rows, part_begin + length);
    if (begin < end) {
      Extents known = extents;
      known[along] = length;
      const RowTile in_part{tile.first_layer, tile.layers, begin - part_begin, end - begin};
      const bool is_whole = in_part.rows == tile.rows;
      const auto run_bytes = static_cast<size_t>(in_part.rows * view.row_bytes);
      const auto piece =
          is_whole ? values : room_in(piece_, static_cast<size_t>(tile.layers) * run_bytes);
      parts_.dataset(part, dataset, known)
          .read(memory_type(dataset.type), slab_of(view, in_part), piece.data());
      add_offset(dataset, part, piece);
      if (is_whole) return values;
      const auto place = static_cast<size_t>((begin - tile.first_row) * view.row_bytes);
      for (size_t layer = 0; layer < static_cast<size_t>(tile.layers); ++layer) {
        std::memcpy(values.data() + layer * tile_row_bytes + place,
                    piece.data() + layer * run_bytes, run_bytes);
      }
    }
    part_begin += length;
  }
  return values;
}

void RowWriter::write_alone(const H5Dataset& target, const Dataset& dataset, const Extents& extents,
                            const std::vector<RowTile>& tiles) {
  const RowView view = view_of(dataset, extents);
  for (const auto& tile : tiles) {
    const auto values = read(dataset, extents, tile);
    write_chunks(target, {dataset, view.shape}, slab_of(view, tile), values, threads_);
  }
}

void RowWriter::write(const H5File& target, const Dataset& dataset, const Extents& extents) {
  const RowView view = view_of(dataset, extents);
  int rank = 0, ranks = 1;
  MPI_Comm_rank(comm_, &rank);
  MPI_Comm_size(comm_, &ranks);
  const std::vector<RowTile> tiles = cut_tiles(view.layers, view.rows, view.row_bytes, ranks);
  if (tiles.empty()) return;
  H5Dataset opened;
  agree(comm_, [&] { opened = target.dataset(dataset.path); });
  if (ranks == 1) return write_alone(opened, dataset, extents, tiles);
  const H5Id transfer = make_property_list(H5P_DATASET_XFER);
  H5Pset_dxpl_mpio(transfer.get(), H5FD_MPIO_COLLECTIVE);
  for (size_t round = 0; round < tiles.size(); round += static_cast<size_t>(ranks)) {
    const size_t mine = round + static_cast<size_t>(rank);
    const RowTile tile = mine < tiles.size() ? tiles[mine] : RowTile{};
    std::span<const std::byte> values;
    agree(comm_, [&] { values = read(dataset, extents, tile); });
    agree(comm_, [&] {
      opened.write(memory_type(dataset.type), slab_of(view, tile), values.data(), transfer.get());
      check_collective(opened, transfer.get());
    });
  }
}

}  // namespace actsweep
