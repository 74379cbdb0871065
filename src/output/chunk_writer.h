// Chunks of a dataset whose file one rank writes alone, compressed on all of its threads.
//
// HDF5 compresses one chunk at a time; here several are at once (chunk_packer.h).
#pragma once

#include <span>
#include <vector>

#include "base/h5.h"
#include "output/chunk_packer.h"
#include "output/sweep_file.h"

namespace actsweep {

/// Packs whole chunks of a dataset of this shape: `part` begins at a chunk and ends at one or with
/// the dataset. `values` hold it densely. The dataset has chunks (chunk_shape).
std::vector<PackedChunk> pack_chunks(const PlannedDataset& planned, const Hyperslab& part,
                                     std::span<const std::byte> values, int threads);
/// Packs and writes them. Writes a dataset without chunks as HDF5 does.
void write_chunks(const H5Dataset& target, const PlannedDataset& planned, const Hyperslab& part,
                  std::span<const std::byte> values, int threads);

}  // namespace actsweep
