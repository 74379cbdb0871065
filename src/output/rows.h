// Rows and events of the parts, strung together in the target by all ranks at once.
//
// In: parts with their lengths, an open target. Out: the values of one concatenated dataset. Each
// round every rank packs one tile of whole chunks; rank 0 gets them and writes them.
#pragma once

#include <mpi.h>

#include <functional>
#include <vector>

#include "output/tile_packer.h"

namespace actsweep {

class RowWriter {
 public:
  /// `on_progress` is called after each round.
  RowWriter(TilePacker packer, MPI_Comm comm, std::function<void()> on_progress = {});

  /// Collective over the communicator. An error on one rank is an error on all. The target is open
  /// on rank 0.
  void write(const H5File& target, const Dataset& dataset, const Extents& extents);

 private:
  void write_small(const H5File& target, const Dataset& dataset, const RowView& view);
  void write_round(const H5Dataset& target, const std::vector<PackedChunk>& own);

  TilePacker packer_;
  MPI_Comm comm_;
  std::function<void()> on_progress_;
};

}  // namespace actsweep
