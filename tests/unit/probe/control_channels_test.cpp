#include "probe/control_channels.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace actsweep {
namespace {

using testing::ElementsAre;

TEST(MedianChannels, AreNearestTheLowerMedianAndTiesGoToTheLowerChannel) {
  // Magnitudes 1 2 3 4 5 6, median 3; then 2 and 4 are as near as each other.
  const auto rows = at::tensor({6.0f, -4.0f, 1.0f, 3.0f, 2.0f, -5.0f}).view({1, 6});
  const auto chosen = median_channels(rows, 4);
  const auto* first = chosen.const_data_ptr<int64_t>();
  EXPECT_THAT(std::vector<int64_t>(first, first + 4), ElementsAre(3, 1, 4, 2));
}

TEST(MedianChannels, EachRowHasItsOwn) {
  const auto rows = at::tensor({1.0f, 2.0f, 9.0f, 9.0f, -7.0f, 1.0f}).view({2, 3});
  const auto chosen = median_channels(rows, 1);
  EXPECT_EQ(chosen[0][0].item<int64_t>(), 1);
  EXPECT_EQ(chosen[1][0].item<int64_t>(), 1);
  EXPECT_EQ(chosen.sizes(), at::IntArrayRef({2, 1}));
}

/// Values of numpy, by the formula of docs/interventions.md.
TEST(RandomChannels, AreThoseOfTheDocumentation) {
  EXPECT_THAT(random_channels(0, 0, 0, 576, 2), ElementsAre(40, 339));
  EXPECT_THAT(random_channels(7, 123456789, 12, 576, 3), ElementsAre(476, 322, 36));
}

TEST(RandomChannels, AreDifferentAndCanBeAll) {
  const auto chosen = random_channels(3, 1, 4, 9, 9);
  EXPECT_EQ(std::set<int64_t>(chosen.begin(), chosen.end()).size(), 9u);
  EXPECT_LT(*std::max_element(chosen.begin(), chosen.end()), 9);
}

TEST(RandomChannels, ChangeWithSeedSequenceAndLayer) {
  const auto base = random_channels(1, 2, 3, 4096, 4);
  EXPECT_NE(random_channels(2, 2, 3, 4096, 4), base);
  EXPECT_NE(random_channels(1, 3, 3, 4096, 4), base);
  EXPECT_NE(random_channels(1, 2, 4, 4096, 4), base);
  EXPECT_NE(random_channels(2, 1, 3, 4096, 4), base);
}

}  // namespace
}  // namespace actsweep
