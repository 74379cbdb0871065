// Rows of one dataset of a segment's file, gathered into whole chunks.
//
// In: parts of the dataset, each element once, in any order. Out: packed chunks, each as soon as
// all of its rows are there; the rows of the others are kept. Makes no call of HDF5's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "output/chunk_packer.h"
#include "output/layout.h"

namespace actsweep {

class RowChunks {
 public:
  /// Of a concatenated dataset with this chunk, whose rows begin behind `padding`; `rows`: how many
  /// there are, if that is known. The packer must outlive it.
  RowChunks(ChunkPacker& packer, const Dataset& dataset, const std::vector<hsize_t>& chunk,
            int64_t padding, std::optional<int64_t> rows);

  /// `part` is a part of the rows, without padding, with all of the axes behind rows and layers;
  /// `values` hold it densely. Gives the chunks that are whole now.
  std::vector<PackedChunk> add(const Hyperslab& part, const std::byte* values);
  /// The chunks at the end of rows whose number was not known: `rows`.
  std::vector<PackedChunk> finish(int64_t rows);

 private:
  using Place = std::pair<int64_t, int64_t>;  // layer, number of the chunk along the rows
  struct Range {
    int64_t begin = 0;
    int64_t end = 0;
  };
  struct Pending {
    std::vector<std::byte> values;  // [rows, bytes of one]
    int64_t rows = 0;               // that are there
  };
  /// Rows of one layer: that of `first` begins at `values`, the next one `stride` bytes further.
  struct Rows {
    Range range;
    const std::byte* values;
    int64_t stride;
  };

  Range rows_in(int64_t chunk) const;
  void add_layer(int64_t layer, const Rows& rows, std::vector<PackedChunk>& whole);
  void keep(const Place& place, const Rows& rows, std::vector<PackedChunk>& whole);
  PackedChunk pack(const Place& place, std::span<const std::byte> values);

  ChunkPacker& packer_;
  std::vector<hsize_t> chunk_;
  ChunkSize size_;
  size_t axis_;                       // of the rows
  std::optional<size_t> layer_axis_;  // of the layers or variants, where there is one
  int64_t row_bytes_;                 // of one layer
  int64_t padding_;
  std::optional<int64_t> end_;  // of the rows, padding counted
  std::map<Place, Pending> pending_;
};

}  // namespace actsweep
