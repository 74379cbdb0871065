// Rows and events of the parts, strung together in the target by all ranks at once.
//
// In: parts with their lengths, an open target. Out: the values of one concatenated dataset. Each
// round every rank reads one tile of whole chunks and all ranks write together (MPI-IO, compressed
// by the ranks that write). A rank alone compresses on all of its threads.
#pragma once

#include <mpi.h>

#include <functional>
#include <vector>

#include "comm/agreement.h"
#include "output/row_reader.h"

namespace actsweep {

class RowWriter {
 public:
  struct Ranks {
    MPI_Comm comm;
    int threads = 1;                         // that compress where one rank writes alone
    EndAll end = {};                         // of a write of several
    std::function<void()> on_progress = {};  // after each round
  };

  RowWriter(RowReader reader, Ranks ranks);

  /// Collective over the communicator. An error on one rank is an error on all, but for one of
  /// writing, which ends all. The target is open on all ranks, without MPI-IO where there is one.
  void write(const H5File& target, const Dataset& dataset, const Extents& extents);

 private:
  void write_alone(const H5Dataset& target, const Dataset& dataset, const Extents& extents,
                   const std::vector<RowTile>& tiles);

  RowReader reader_;
  Ranks ranks_;
};

}  // namespace actsweep
