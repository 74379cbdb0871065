// Which chunks of a sweep file lie as they are in a file of a part.
//
// In: parts with their lengths, a concatenated dataset of the target. Out: for each chunk along its
// rows the file that holds it whole, cut and compressed as the target has it; nothing where rows of
// several files meet in it, where a file is cut otherwise, or where its numbers change in a merge.
#pragma once

#include <optional>
#include <vector>

#include "output/parts.h"
#include "output/row_tiles.h"

namespace actsweep {

struct ChunkSource {
  PartFile file;
  int64_t first_row = 0;  // of the chunk, in the file's dataset, padding counted
  bool operator==(const ChunkSource& other) const = default;
};

/// [chunk along the rows]. `adds_offsets`: of a merge of files.
std::vector<std::optional<ChunkSource>> chunk_sources(Parts& parts,
                                                      const std::vector<PartLengths>& lengths,
                                                      bool adds_offsets, const Dataset& dataset,
                                                      const Extents& extents);

}  // namespace actsweep
