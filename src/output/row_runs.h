// Where the rows of a segment lie that its model group's members have written, each those it owns.
//
// The order of a sweep is micro-batch after micro-batch, in each of them member after member; a
// member's file holds its own rows in that order, densely. In: what each file holds of each
// micro-batch. Out: runs of rows, from file to file. Pure arithmetic.
#pragma once

#include <cstdint>
#include <vector>

#include "output/row_counts.h"

namespace actsweep {

using MemberCounts = std::vector<std::vector<RowCounts>>;  // [member][micro-batch]

/// Rows that lie together in a member's file, and in the segment.
struct RowRun {
  int64_t member = 0;
  int64_t in_file = 0;  // the first one's place in the file
  int64_t first = 0;    // and in the segment
  int64_t rows = 0;
  bool operator==(const RowRun& other) const = default;
};

/// The runs of all rows along an axis, in the segment's order; none is empty.
std::vector<RowRun> row_runs(const MemberCounts& counts, Axis axis);
/// What of a member's runs lies between two places of the segment. Together these lie in one run of
/// the file too.
std::vector<RowRun> runs_between(const std::vector<RowRun>& runs, int64_t member, int64_t begin,
                                 int64_t end);

}  // namespace actsweep
