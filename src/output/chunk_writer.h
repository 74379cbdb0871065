// Chunks of a dataset whose file one rank writes alone, compressed on all of its threads.
//
// HDF5 compresses one chunk at a time with zlib, which takes longer than a fast sweep. Here ISA-L,
// eight times as fast for a few percent more bytes, compresses several at once, and HDF5 is given
// bytes that its own filters (shuffle, then deflate) can read.
#pragma once

#include <span>
#include <vector>

#include "base/h5.h"
#include "output/sweep_file.h"

namespace actsweep {

/// Writes whole chunks of a dataset that sweep_file created with this shape: `part` begins at a
/// chunk and ends at one or with the dataset. `values` hold it densely. Writes a dataset without
/// chunks as HDF5 does.
void write_chunks(const H5Dataset& target, const PlannedDataset& planned, const Hyperslab& part,
                  std::span<const std::byte> values, int threads);

}  // namespace actsweep
