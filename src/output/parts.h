// The parts that a sweep file is put together from: segments and captures, or finished files.
//
// In: paths, in order. Out: each part's lengths along the axes that are concatenated, and its open
// datasets. Refuses (ErrorKind::kOutput) a part whose datasets lack, or have another type or shape
// than declared, naming file and dataset.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "base/h5.h"
#include "output/layout.h"

namespace actsweep {

/// What one part adds along the concatenated axes. All zero for the part of a captured prompt.
/// Plain numbers, so that rank 0 can send them to all.
struct PartLengths {
  int64_t tokens = 0;
  int64_t sequences = 0;
  int64_t rows = 0;
  int64_t events = 0;
  int64_t documents = 0;
  int64_t is_segment = 0;  // holds every dataset that segments hold

  /// The length along a concatenated axis.
  int64_t& along(Axis axis);
  int64_t along(Axis axis) const { return const_cast<PartLengths*>(this)->along(axis); }
};

/// Opens parts when they are asked for and keeps the last few open.
class Parts {
 public:
  explicit Parts(std::vector<std::string> paths) : paths_(std::move(paths)) {}

  size_t count() const { return paths_.size(); }
  const std::string& path(size_t part) const { return paths_[part]; }
  /// Valid until kOpenParts other parts were asked for.
  const H5File& file(size_t part);
  /// Opens a dataset and checks its type and, along axes with a known length, its shape.
  H5Dataset dataset(size_t part, const Dataset& declared, const Extents& known);
  bool contains(size_t part, const Dataset& dataset) { return file(part).contains(dataset.path); }

  static constexpr size_t kOpenParts = 16;

 private:
  std::vector<std::string> paths_;
  std::list<std::pair<size_t, H5File>> open_;  // most recently used first
};

/// The lengths of every part, from the shapes of its datasets, which must agree; extents hold the
/// other axes.
std::vector<PartLengths> survey(Parts& parts, const std::vector<Dataset>& datasets,
                                const Extents& extents);
/// The sum of the parts' lengths, over the first `count` parts.
PartLengths total_of(const std::vector<PartLengths>& lengths, size_t count);

}  // namespace actsweep
