#include "output/row_tiles.h"

#include <algorithm>

namespace actsweep {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

RowView view_of(const Dataset& dataset, const Extents& extents) {
  RowView view;
  view.axis = *concatenation_axis(dataset);
  view.shape = shape_of(dataset, extents);
  view.has_layers = view.axis == 1;
  ensure(view.axis <= 1, "rows lie first, or second after the layers");
  if (view.has_layers) view.layers = static_cast<int64_t>(view.shape[0]);
  view.rows = static_cast<int64_t>(view.shape[view.axis]);
  view.chunk_rows = chunk_rows(dataset, view.shape);
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

std::vector<RowTile> cut_tiles(int64_t layers, int64_t rows, int64_t row_bytes, int ranks,
                               int64_t chunk_rows) {
  std::vector<RowTile> tiles;
  if (layers * rows * row_bytes == 0) return tiles;
  const int64_t columns = ceil_div(rows, chunk_rows);
  const int64_t chunk_bytes = std::min(rows, chunk_rows) * row_bytes;
  const int64_t most = std::max<int64_t>(1, kTileBytes / chunk_bytes);
  const int64_t chunks = std::min(most, ceil_div(layers * columns, ranks));
  const int64_t tile_layers = std::min(layers, chunks);
  const int64_t tile_rows = chunk_rows * std::max<int64_t>(1, chunks / layers);
  for (int64_t row = 0; row < rows; row += tile_rows) {
    for (int64_t layer = 0; layer < layers; layer += tile_layers) {
      tiles.push_back(
          {layer, std::min(tile_layers, layers - layer), row, std::min(tile_rows, rows - row)});
    }
  }
  return tiles;
}

}  // namespace actsweep
