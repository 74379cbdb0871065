// The pieces in which a concatenated dataset is moved: whole chunks, each of which is compressed
// once.
//
// In: a dataset with its extents. Out: its view as layers of rows, and tiles of it.
#pragma once

#include <cstdint>
#include <vector>

#include "base/h5.h"
#include "output/layout.h"

namespace actsweep {

/// How a concatenated dataset is seen: [layers, rows, trailing], where layers is 1 without an
/// axis before the rows'.
struct RowView {
  bool has_layers = false;
  size_t axis = 0;  // of the rows
  int64_t layers = 1;
  int64_t rows = 0;
  int64_t row_bytes = 0;
  int64_t chunk_rows = kChunkRows;
  std::vector<hsize_t> shape;
};

RowView view_of(const Dataset& dataset, const Extents& extents);

/// Whole chunks that one rank writes in one round.
struct RowTile {
  int64_t first_layer = 0;
  int64_t layers = 0;
  int64_t first_row = 0;
  int64_t rows = 0;
};

Hyperslab slab_of(const RowView& view, const RowTile& tile);
/// Cuts [layers, rows] of `row_bytes` each into tiles of whole chunks, at most about kTileBytes,
/// for `ranks` ranks.
std::vector<RowTile> cut_tiles(int64_t layers, int64_t rows, int64_t row_bytes, int ranks,
                               int64_t chunk_rows = kChunkRows);

}  // namespace actsweep
