// Rows and events of the parts, strung together in the target by all ranks at once.
//
// In: parts with their lengths, an open target. Out: the values of one concatenated dataset. Each
// round every rank reads one tile of whole chunks and all ranks write together (MPI-IO, collective,
// compressed by the ranks that write). A rank alone compresses on all of its threads.
#pragma once

#include <mpi.h>

#include <span>
#include <vector>

#include "output/parts.h"

namespace actsweep {

/// Whole chunks that one rank writes in one round.
struct RowTile {
  int64_t first_layer = 0;
  int64_t layers = 0;
  int64_t first_row = 0;
  int64_t rows = 0;
};

/// Cuts [layers, rows] of `row_bytes` each into tiles of whole chunks, at most about 32 MiB, for
/// `ranks` ranks.
std::vector<RowTile> cut_tiles(int64_t layers, int64_t rows, int64_t row_bytes, int ranks);

class RowWriter {
 public:
  /// `adds_offsets`: values that count along an axis of their file get the lengths of the files
  /// before. `threads` compress where one rank writes alone.
  RowWriter(Parts& parts, std::vector<PartLengths> lengths, bool adds_offsets, MPI_Comm comm,
            int threads);

  /// Collective over the communicator. An error on one rank is an error on all. The target is open
  /// on all ranks, without MPI-IO where there is one.
  void write(const H5File& target, const Dataset& dataset, const Extents& extents);

 private:
  void write_alone(const H5Dataset& target, const Dataset& dataset, const Extents& extents,
                   const std::vector<RowTile>& tiles);
  /// Valid until the next.
  std::span<const std::byte> read(const Dataset& dataset, const Extents& extents,
                                  const RowTile& tile);
  void add_offset(const Dataset& dataset, size_t part, std::span<std::byte> values) const;

  Parts& parts_;
  std::vector<PartLengths> lengths_;
  bool adds_offsets_;
  MPI_Comm comm_;
  int threads_;
  std::vector<std::byte> values_;  // of a tile, kept from one to the next
  std::vector<std::byte> piece_;   // of it in one part
};

}  // namespace actsweep
