#include "output/rows.h"

#include "comm/agreement.h"
#include "comm/session.h"
#include "output/chunk_writer.h"

namespace actsweep {
namespace {

/// The ranks wrote together, not one after the other behind our back.
void check_collective(const H5Dataset& dataset, hid_t transfer) {
  uint32_t local = 0, global = 0;
  dataset.check(H5Pget_mpio_no_collective_cause(transfer, &local, &global),
                "ask whether the write was collective");
  ensure(global == H5D_MPIO_COLLECTIVE, "rows are written collectively");
}

}  // namespace

RowWriter::RowWriter(RowReader reader, MPI_Comm comm, int threads,
                     std::function<void()> on_progress)
    : reader_(std::move(reader)),
      comm_(comm),
      threads_(threads),
      on_progress_(std::move(on_progress)) {}

void RowWriter::write_alone(const H5Dataset& target, const Dataset& dataset, const Extents& extents,
                            const std::vector<RowTile>& tiles) {
  const RowView view = view_of(dataset, extents);
  for (const auto& tile : tiles) {
    const auto values = reader_.read(dataset, extents, tile);
    write_chunks(target, {dataset, view.shape}, slab_of(view, tile), values, threads_);
    if (on_progress_) on_progress_();
  }
}

void RowWriter::write(const H5File& target, const Dataset& dataset, const Extents& extents) {
  const RowView view = view_of(dataset, extents);
  const int rank = rank_in(comm_), ranks = size_of(comm_);
  const std::vector<RowTile> tiles =
      cut_tiles(view.layers, view.rows, view.row_bytes, ranks, view.chunk_rows);
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
    agree(comm_, [&] { values = reader_.read(dataset, extents, tile); });
    agree(comm_, [&] {
      opened.write(memory_type(dataset.type), slab_of(view, tile), values.data(), transfer.get());
      check_collective(opened, transfer.get());
    });
    if (on_progress_) on_progress_();
  }
}

}  // namespace actsweep
