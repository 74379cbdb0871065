// Rows and events of the parts, strung together in the target by all ranks at once.
//
// In: parts with their lengths, an open target. Out: the values of one concatenated dataset. Each
// round every rank reads one tile of whole chunks and all ranks write together (MPI-IO, collective,
// compressed by the ranks that write). A rank alone compresses on all of its threads.
#pragma once

#include <mpi.h>

#include <functional>
#include <vector>

#include "output/row_reader.h"

namespace actsweep {

class RowWriter {
 public:
  /// `threads` compress where one rank writes alone. `on_progress` is called after each round.
  RowWriter(RowReader reader, MPI_Comm comm, int threads, std::function<void()> on_progress = {});

  /// Collective over the communicator. An error on one rank is an error on all. The target is open
  /// on all ranks, without MPI-IO where there is one.
  void write(const H5File& target, const Dataset& dataset, const Extents& extents);

 private:
  void write_alone(const H5Dataset& target, const Dataset& dataset, const Extents& extents,
                   const std::vector<RowTile>& tiles);

  RowReader reader_;
  MPI_Comm comm_;
  int threads_;
  std::function<void()> on_progress_;
};

}  // namespace actsweep
