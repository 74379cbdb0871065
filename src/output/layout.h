// How a declared dataset lies in a file: shape, chunks, types, and the axis along which parts are
// strung together.
//
// In: declarations and the lengths of axes. Out: HDF5 shapes and types. Refuses (std::logic_error)
// an axis without a length. A prompt's token axis (kPromptToken) is the scale "token" of the
// prompt's own group, so each prompt's datasets lie in a part of their own.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "schema/declare.h"

namespace actsweep {

inline constexpr int64_t kChunkRows = 32 * 1024;
inline constexpr int64_t kStoredChunkBytes = 1024 * 1024;  // as many as HDF5 keeps of a dataset
inline constexpr int64_t kTileBytes = 32 * 1024 * 1024;    // that are moved at a time

/// Every axis, in the order of the declaration.
const std::vector<Axis>& all_axes();
/// Those along which parts are strung together.
const std::vector<Axis>& concatenated_axes();

/// Lengths of the dataset's axes; empty for a scalar.
std::vector<hsize_t> shape_of(const Dataset& dataset, const Extents& extents);
int64_t element_count(const std::vector<hsize_t>& shape);
inline int64_t byte_count(const Dataset& dataset, const std::vector<hsize_t>& shape) {
  return element_count(shape) * size_of(dataset.type);
}

/// Where in `dataset.axes` parts are concatenated: the token, row, sequence, event or stored row
/// axis of a dataset that merges by kRows or kGather; nothing for the others.
std::optional<size_t> concatenation_axis(const Dataset& dataset);
/// Is it written one index after the other, each with all of its rows? True for layers and
/// variants.
bool is_outer(Axis axis);
/// Can it be that a sweep learns the axis's length only as it goes? True for events and rows.
bool has_unknown_length(Axis axis);
/// Does the axis belong to one captured prompt?
bool is_of_prompt(Axis axis);
/// Does it hold stored activations, whose rows come first?
bool is_stored(const Dataset& dataset);

/// Rows of a chunk: kChunkRows, but of stored activations as many as one layer has in 1 MiB and all
/// layers have in a tile. `shape` need not know how many rows there are.
int64_t chunk_rows(const Dataset& dataset, const std::vector<hsize_t>& shape);
/// One layer or variant x the rows of a chunk along a long axis x all of the others, clamped to the
/// shape. Empty, for a contiguous layout, where the values are few.
std::vector<hsize_t> chunk_shape(const Dataset& dataset, const std::vector<hsize_t>& shape);

hid_t memory_type(ElementType type);
/// Little-endian on every machine.
hid_t file_type(ElementType type);

/// The path of the dimension scale of the dataset's axis: "layer", "store/row", or
/// "capture/NAME/token".
std::string scale_path(const Dataset& dataset, Axis axis);
/// Of an axis that belongs to no prompt.
std::string scale_path(Axis axis);

/// The datasets that a segment holds: all that are neither constant nor derived.
std::vector<Dataset> segment_datasets(const std::vector<Dataset>& datasets);
/// Of these, those that every member of a model group has rows or events of.
std::vector<Dataset> shared_datasets(const std::vector<Dataset>& datasets);
/// The datasets that the captured prompt's part holds.
std::vector<Dataset> capture_datasets(const std::vector<Dataset>& datasets,
                                      const std::string& prompt);

}  // namespace actsweep
