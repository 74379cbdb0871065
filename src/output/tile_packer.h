// The chunks of a tile of the target, from the files of the parts.
//
// In: parts with their lengths, a concatenated dataset in chunks. Out: packed chunks: copied as
// they lie in a file where one holds them whole, else read, joined and packed. Refuses what Parts
// refuses, and a file that lacks a chunk.
#pragma once

#include <optional>
#include <vector>

#include "output/chunk_packer.h"
#include "output/chunk_sources.h"
#include "output/row_reader.h"

namespace actsweep {

/// What a target's rows come from.
struct RowOrigin {
  Parts& parts;
  std::vector<PartLengths> lengths;
  bool adds_offsets = false;  // as RowReader has it
};

class TilePacker {
 public:
  /// `threads` compress.
  TilePacker(RowOrigin origin, int threads);

  /// Both must outlive the packing of the dataset.
  void begin(const Dataset& dataset, const Extents& extents);
  /// Of whole chunks.
  std::vector<PackedChunk> pack(const RowTile& tile);
  /// The values of a tile, of any size. Valid until the next.
  std::span<const std::byte> read(const RowTile& tile) {
    return reader_.read(*dataset_, *extents_, tile);
  }

 private:
  void copy(const RowTile& column, const ChunkSource& source, std::vector<PackedChunk>& chunks);
  void join(const RowTile& columns, std::vector<PackedChunk>& chunks);

  RowOrigin origin_;
  int threads_;
  RowReader reader_;
  const Dataset* dataset_ = nullptr;
  const Extents* extents_ = nullptr;
  RowView view_;
  std::vector<hsize_t> chunk_;
  std::vector<std::optional<ChunkSource>> sources_;  // [chunk along the rows]
};

}  // namespace actsweep
