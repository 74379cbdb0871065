#include "output/row_runs.h"

#include <gtest/gtest.h>

namespace actsweep {
namespace {

RowCounts tokens(int64_t count) { return {.tokens = count}; }

// [member][micro-batch]: some own nothing of some.
const MemberCounts kRagged = {{tokens(3), tokens(5), tokens(2)},
                              {tokens(1), tokens(0), tokens(4)},
                              {tokens(2), tokens(6), tokens(0)}};

TEST(RowRuns, GoThroughTheMembersOfOneMicrobatchAfterTheOther) {
  EXPECT_EQ(row_runs(kRagged, Axis::kToken), (std::vector<RowRun>{{0, 0, 0, 3},
                                                                  {1, 0, 3, 1},
                                                                  {2, 0, 4, 2},
                                                                  {0, 3, 6, 5},
                                                                  {2, 2, 11, 6},
                                                                  {0, 8, 17, 2},
                                                                  {1, 1, 19, 4}}));
}

TEST(RowRuns, AreNoneAlongAnAxisWithoutRows) {
  EXPECT_TRUE(row_runs(kRagged, Axis::kEvent).empty());
}

TEST(RowRuns, EveryCutOfASegmentHasEachPlaceOnceAndOneRunOfEachFile) {
  const auto runs = row_runs(kRagged, Axis::kToken);
  const int64_t whole = 23;
  for (int64_t begin = -2; begin <= whole; ++begin) {
    for (int64_t end = begin; end <= whole + 2; ++end) {
      std::vector<int> times(whole, 0);
      for (int64_t member = 0; member < 3; ++member) {
        int64_t next = -1;  // place in the file
        for (const auto& run : runs_between(runs, member, begin, end)) {
          EXPECT_TRUE(next < 0 || run.in_file == next);
          next = run.in_file + run.rows;
          for (int64_t i = 0; i < run.rows; ++i) ++times[run.first + i];
        }
      }
      for (int64_t place = 0; place < whole; ++place) {
        EXPECT_EQ(times[place], place >= begin && place < end ? 1 : 0);
      }
    }
  }
}

}  // namespace
}  // namespace actsweep
