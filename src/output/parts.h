// The parts that a sweep file is put together from: segments and captures, or finished files.
//
// In: paths, in order, of a segment that of member 0's file. Out: each part's lengths along the
// axes that are concatenated, its open datasets, and where its rows lie in the members' files.
// Refuses (ErrorKind::kOutput) a part whose datasets lack, or have another type or shape than
// declared, and files that do not fit each other, naming file and dataset.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/h5.h"
#include "output/layout.h"
#include "output/row_counts.h"
#include "output/row_runs.h"
#include "output/segment_name.h"

namespace actsweep {

/// What one part adds along the concatenated axes. All zero for the part of a captured prompt.
/// Plain numbers, so that rank 0 can send them to all.
struct PartLengths {
  RowCounts counts;
  int64_t documents = 0;
  int64_t members = 1;     // whose files the part is made of
  int64_t is_segment = 0;  // holds every dataset that segments hold
};

/// One file of a part: member 0's of a segment, a capture's or a finished one, or another member's.
struct PartFile {
  size_t part = 0;
  int64_t member = 0;
  bool operator==(const PartFile& other) const = default;
};

/// Opens files when they are asked for and keeps the last few open.
class Parts {
 public:
  explicit Parts(std::vector<std::string> paths) : paths_(std::move(paths)) {}

  size_t count() const { return paths_.size(); }
  std::string path(PartFile of) const { return path_of_part(paths_[of.part], of.member); }
  /// Valid until as many others were asked for as are kept open.
  const H5File& file(PartFile of);
  /// Opens a dataset and checks its type and, along axes with a known length, its shape.
  H5Dataset dataset(PartFile of, const Dataset& declared, const Extents& known);
  bool contains(size_t part, const Dataset& dataset) { return file({part}).contains(dataset.path); }
  /// What each member's file holds of each micro-batch; read once.
  const MemberCounts& counts(size_t part, int64_t members);

 private:
  std::vector<std::string> paths_;
  std::list<std::pair<PartFile, H5File>> open_;  // most recently used first
  size_t kept_open_ = 16;                        // at most; two segments' files at least
  std::map<size_t, MemberCounts> counts_;
};

/// The lengths of every part, from the shapes of its datasets, which must agree; extents hold the
/// other axes.
std::vector<PartLengths> survey(Parts& parts, const std::vector<Dataset>& datasets,
                                const Extents& extents);
/// Where a part's rows along an axis lie in its members' files, in the part's order.
std::vector<RowRun> runs_of(Parts& parts, size_t part, const PartLengths& lengths, Axis along);
/// The sum of the parts' lengths, over the first `count` parts.
PartLengths total_of(const std::vector<PartLengths>& lengths, size_t count);
/// Adds what the parts before `part` hold to the part's own numbers of a dataset that counts along
/// an axis, or documents; others stay. A negative one names nothing, and stays.
void add_offset(const Dataset& dataset, const std::vector<PartLengths>& lengths, size_t part,
                std::span<std::byte> values);

}  // namespace actsweep
