// Rows and events of the parts, strung together and read a tile at a time.
//
// In: parts with their lengths. Out: the values of a tile of one concatenated dataset, wherever its
// rows lie in the files of the parts' members: one read a file. Refuses what Parts refuses.
#pragma once

#include <span>
#include <vector>

#include "output/parts.h"
#include "output/row_tiles.h"

namespace actsweep {

class RowReader {
 public:
  /// `adds_offsets`: values that count along an axis of their file get the lengths of the files
  /// before.
  RowReader(Parts& parts, std::vector<PartLengths> lengths, bool adds_offsets);

  /// [layers, rows] of the tile, densely. Valid until the next.
  std::span<const std::byte> read(const Dataset& dataset, const Extents& extents,
                                  const RowTile& tile);

 private:
  struct Wanted {
    const Dataset& dataset;
    const Extents& extents;
    RowView view;
    RowTile tile;
    std::span<std::byte> values;
    Axis along() const { return dataset.axes[view.axis]; }
  };

  int64_t length_of(PartFile file, Axis along);
  void read_part(size_t part, int64_t part_begin, const Wanted& wanted);
  void read_file(PartFile file, std::span<const RowRun> runs, const Wanted& wanted);

  Parts& parts_;
  std::vector<PartLengths> lengths_;
  bool adds_offsets_;
  std::vector<std::byte> values_;  // of a tile, kept from one to the next
  std::vector<std::byte> piece_;   // of it in one file
};

}  // namespace actsweep
