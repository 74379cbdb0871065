#include "output/row_runs.h"

#include <algorithm>

namespace actsweep {

std::vector<RowRun> row_runs(const MemberCounts& counts, Axis axis) {
  std::vector<RowRun> runs;
  std::vector<int64_t> in_file(counts.size(), 0);
  int64_t first = 0;
  for (size_t batch = 0; batch < counts.front().size(); ++batch) {
    for (size_t member = 0; member < counts.size(); ++member) {
      const int64_t rows = counts[member][batch].along(axis);
      if (rows == 0) continue;
      runs.push_back({static_cast<int64_t>(member), in_file[member], first, rows});
      in_file[member] += rows;
      first += rows;
    }
  }
  return runs;
}

std::vector<RowRun> runs_between(const std::vector<RowRun>& runs, int64_t member, int64_t begin,
                                 int64_t end) {
  std::vector<RowRun> between;
  for (const auto& run : runs) {
    const int64_t first = std::max(begin, run.first), last = std::min(end, run.first + run.rows);
    if (run.member != member || first >= last) continue;
    between.push_back({member, run.in_file + first - run.first, first, last - first});
  }
  return between;
}

}  // namespace actsweep
