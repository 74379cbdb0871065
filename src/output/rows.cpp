#include "output/rows.h"

#include "comm/agreement.h"
#include "comm/session.h"
#include "output/chunk_writer.h"

namespace actsweep {
namespace {

/// Collective as HDF5 sees it, which needs that to place compressed chunks. But each rank hands its
/// own bytes to the system: where one of them writes for others, Open MPI's collective writes
/// (4.1, all of ompio's) tell nobody of its error.
H5Id make_transfer() {
  H5Id transfer = make_property_list(H5P_DATASET_XFER);
  H5Pset_dxpl_mpio(transfer.get(), H5FD_MPIO_COLLECTIVE);
  H5Pset_dxpl_mpio_collective_opt(transfer.get(), H5FD_MPIO_INDIVIDUAL_IO);
  return transfer;
}

/// The ranks wrote together, not one after the other behind our back.
void check_collective(const H5Dataset& dataset, hid_t transfer) {
  uint32_t local = 0, global = 0;
  dataset.check(H5Pget_mpio_no_collective_cause(transfer, &local, &global),
                "ask whether the write was collective");
  ensure(global == H5D_MPIO_COLLECTIVE, "rows are written collectively");
}

}  // namespace

RowWriter::RowWriter(RowReader reader, Ranks ranks)
    : reader_(std::move(reader)), ranks_(std::move(ranks)) {}

void RowWriter::write_alone(const H5Dataset& target, const Dataset& dataset, const Extents& extents,
                            const std::vector<RowTile>& tiles) {
  const RowView view = view_of(dataset, extents);
  for (const auto& tile : tiles) {
    const auto values = reader_.read(dataset, extents, tile);
    write_chunks(target, {dataset, view.shape}, slab_of(view, tile), values, ranks_.threads);
    if (ranks_.on_progress) ranks_.on_progress();
  }
}

void RowWriter::write(const H5File& target, const Dataset& dataset, const Extents& extents) {
  const MPI_Comm comm = ranks_.comm;
  const RowView view = view_of(dataset, extents);
  const int rank = rank_in(comm), ranks = size_of(comm);
  const std::vector<RowTile> tiles =
      cut_tiles(view.layers, view.rows, view.row_bytes, ranks, view.chunk_rows);
  if (tiles.empty()) return;
  H5Dataset opened;
  agree(comm, [&] { opened = target.dataset(dataset.path); });
  if (ranks == 1) return write_alone(opened, dataset, extents, tiles);
  const H5Id transfer = make_transfer();
  for (size_t round = 0; round < tiles.size(); round += static_cast<size_t>(ranks)) {
    const size_t mine = round + static_cast<size_t>(rank);
    const RowTile tile = mine < tiles.size() ? tiles[mine] : RowTile{};
    std::span<const std::byte> values;
    agree(comm, [&] { values = reader_.read(dataset, extents, tile); });
    const auto write = [&] {
      opened.write(memory_type(dataset.type), slab_of(view, tile), values.data(), transfer.get());
      check_collective(opened, transfer.get());
    };
    agree_or_end(comm, write, ranks_.end);
    if (ranks_.on_progress) ranks_.on_progress();
  }
}

}  // namespace actsweep
