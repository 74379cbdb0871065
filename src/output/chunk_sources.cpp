#include "output/chunk_sources.h"

#include <algorithm>

#include "output/row_place.h"

namespace actsweep {
namespace {

/// The chunks of the target, and what of them lies whole in a run of rows.
struct ChunkGrid {
  std::vector<hsize_t> chunk;
  int64_t length = 0;  // rows of a chunk
  int64_t rows = 0;    // of the target

  int64_t count() const { return (rows + length - 1) / length; }
  int64_t end_of(int64_t chunk_number) const { return std::min(rows, (chunk_number + 1) * length); }
  int64_t first_in(int64_t begin) const { return (begin + length - 1) / length; }
};

ChunkGrid grid_of(const Dataset& dataset, const RowView& view) {
  ChunkGrid grid{chunk_shape(dataset, view.shape), 0, view.rows};
  if (!grid.chunk.empty()) grid.length = static_cast<int64_t>(grid.chunk[view.axis]);
  return grid;
}

bool is_cut_alike(const H5Dataset& dataset, const ChunkGrid& grid) {
  static const std::vector<H5Z_filter_t> filters = {H5Z_FILTER_SHUFFLE, H5Z_FILTER_DEFLATE};
  return dataset.chunk() == grid.chunk && dataset.filters() == filters;
}

/// A run of rows of one file, in the target.
struct TargetRun {
  PartFile file;
  int64_t begin = 0;    // in the target
  int64_t in_file = 0;  // of the first row, without padding
  int64_t rows = 0;
  int64_t end() const { return begin + rows; }
};

/// The chunks that the run holds whole; the last one of the target is, where the file ends with it.
void find_in(const TargetRun& run, const H5Dataset& opened, const RowView& view,
             const ChunkGrid& grid, std::vector<std::optional<ChunkSource>>& sources) {
  const int64_t padding = padding_of(opened);
  const auto file_rows = static_cast<int64_t>(opened.shape()[view.axis]);
  for (int64_t i = grid.first_in(run.begin); i < grid.count() && grid.end_of(i) <= run.end(); ++i) {
    const int64_t first = padding + run.in_file + i * grid.length - run.begin;
    const int64_t last = std::min(first + grid.length, file_rows);
    const bool is_same =
        first % grid.length == 0 && last - first == grid.end_of(i) - i * grid.length;
    if (is_same) sources[static_cast<size_t>(i)] = {run.file, first};
  }
}

}  // namespace

std::vector<std::optional<ChunkSource>> chunk_sources(Parts& parts,
                                                      const std::vector<PartLengths>& lengths,
                                                      bool adds_offsets, const Dataset& dataset,
                                                      const Extents& extents) {
  const RowView view = view_of(dataset, extents);
  const ChunkGrid grid = grid_of(dataset, view);
  if (grid.length == 0) return {};
  std::vector<std::optional<ChunkSource>> sources(static_cast<size_t>(grid.count()));
  if (adds_offsets && (dataset.index_of || dataset.counts_documents)) return sources;
  const Axis along = dataset.axes[view.axis];
  int64_t begin = 0;  // of the part
  for (size_t part = 0; part < parts.count(); ++part) {
    for (const auto& of_part : runs_of(parts, part, lengths[part], along)) {
      const TargetRun run{
          {part, of_part.member}, begin + of_part.first, of_part.in_file, of_part.rows};
      const int64_t first = grid.first_in(run.begin);
      if (first >= grid.count() || grid.end_of(first) > run.end()) continue;
      const H5Dataset opened = parts.file(run.file).dataset(dataset.path);
      if (is_cut_alike(opened, grid)) find_in(run, opened, view, grid, sources);
    }
    begin += lengths[part].counts.along(along);
  }
  return sources;
}

}  // namespace actsweep
