// The outline of a sweep file: root attributes, dimension scales, empty datasets that describe
// themselves.
//
// In: declarations with their final shapes. Out: a file in which netCDF readers find named axes;
// and back, the declarations of a finished file. Refuses (ErrorKind::kOutput) a file that is not a
// finished sweep file of this schema.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/h5.h"
#include "output/layout.h"

namespace actsweep {

inline constexpr const char* kSchema = "actsweep";
inline constexpr int64_t kSchemaVersion = 1;

inline constexpr unsigned kDeflateLevel = 1;  // of chunks, after their bytes are shuffled

/// Has a dataset creation property list make chunks, shuffled and deflated.
void set_chunks(const H5Id& creation, const std::vector<hsize_t>& chunk);

struct PlannedDataset {
  Dataset dataset;
  std::vector<hsize_t> shape;
};

/// Tells a creation list where a dataset's values lie, if not in chunks or one run of the file.
using PlaceHook = std::function<bool(const PlannedDataset& planned, const H5Id& creation)>;

/// Creates scales and datasets; no dataset has values yet, and none is filled. A dataset of the
/// path of its own scale
/// ("magnitude_bin") is the scale.
/// `place`, where there is one, may put values elsewhere: it then gives true.
void create_outline(const H5File& file, const std::vector<PlannedDataset>& datasets,
                    const std::vector<Attribute>& root_attributes, const PlaceHook& place = {});

/// Opens a finished sweep file; refuses every other file, saying what was found.
H5File open_sweep(const std::string& path);
/// The declarations of its datasets, from their attributes, in alphabetical order.
std::vector<Dataset> datasets_of(const H5File& file);
/// The lengths of its scales but those of prompts.
Extents extents_of(const H5File& file);

}  // namespace actsweep
