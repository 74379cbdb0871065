#include "corpus/segments.h"

#include <gtest/gtest.h>

namespace actsweep {
namespace {

TEST(Segments, BlocksOfAnySizeHaveTheMicrobatchesOfTheirSegment) {
  SegmentPlan plan{.windows = 103, .windows_per_microbatch = 6, .windows_per_segment = 24};
  EXPECT_EQ(plan.segments(), 5);
  for (int64_t number = 0; number < plan.segments(); ++number) {
    const auto segment = plan.segment(number);
    const auto expected = plan.microbatches(segment);
    for (int64_t block_windows : {1, 6, 13, 24, 1000}) {
      std::vector<WindowRange> found;
      for (const auto block : plan.blocks(segment, block_windows)) {
        EXPECT_LE(block.size(), std::max<int64_t>(6, block_windows));
        for (const auto batch : plan.microbatches(block)) found.push_back(batch);
      }
      ASSERT_EQ(found.size(), expected.size());
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i].begin, expected[i].begin);
        EXPECT_EQ(found[i].end, expected[i].end);
      }
    }
  }
}

TEST(Segments, SegmentsCoverAllWindowsInOrder) {
  SegmentPlan plan{.windows = 103, .windows_per_microbatch = 6, .windows_per_segment = 24};
  int64_t next = 0;
  for (int64_t number = 0; number < plan.segments(); ++number) {
    EXPECT_EQ(plan.segment(number).begin, next);
    next = plan.segment(number).end;
  }
  EXPECT_EQ(next, 103);
}

}  // namespace
}  // namespace actsweep
