// Chunks of a dataset whose file one rank writes alone, compressed on all of its threads.
//
// HDF5 compresses one chunk at a time, which takes longer than a fast sweep. Here zlib compresses
// several at once, and HDF5 is given the bytes that its own filters (shuffle, then deflate) would
// have made.
#pragma once

#include <span>
#include <vector>

#include "base/h5.h"

namespace actsweep {

inline constexpr unsigned kDeflateLevel = 1;

/// One chunk: where it begins along each axis, and the values that it has of its dataset. A chunk
/// at the dataset's end can have fewer than fit; they are its first ones.
struct Chunk {
  std::vector<hsize_t> offset;
  std::span<const std::byte> values;
};

/// Writes chunks of `chunk_bytes` each, of elements of `element_bytes`, into a dataset with the
/// filters shuffle and deflate.
void write_chunks(const H5Dataset& target, const std::vector<Chunk>& chunks, int64_t chunk_bytes,
                  int64_t element_bytes, int threads);

}  // namespace actsweep
