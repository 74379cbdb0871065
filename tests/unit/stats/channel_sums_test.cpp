// The kernel over a CPU's rows, and operators for other devices, against sums row by row.
#include "stats/channel_sums.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

namespace actsweep {
namespace {

using Add = void (*)(const at::Tensor&, const RowRuns&, const ChannelSums&);

/// Of each run the largest magnitudes, sums, sums of squares and ranges of its kept rows, added to
/// what is there; `has_range`: whether ranges are asked for.
void expect_sums_of_runs(Add add, const at::Tensor& rows, const RowRuns& runs, bool has_range) {
  const int64_t count = static_cast<int64_t>(runs.first.size()) - 1, channels = rows.size(1);
  auto lowest = at::full({count, channels}, std::numeric_limits<float>::infinity());
  auto highest = lowest.neg();
  auto expected_lowest = lowest.clone(), expected_highest = highest.clone();
  auto largest = at::rand({count, channels}) * 20;
  auto sum = at::rand({count, channels}, at::kDouble);
  auto square = at::rand({count, channels}, at::kDouble);
  auto expected_largest = largest.clone(), expected_sum = sum.clone();
  auto expected_square = square.clone(), terms = sum.abs();
  for (int64_t run = 0; run < count; ++run) {
    for (int64_t i = 0; i < runs.first[run + 1] - runs.first[run]; ++i) {
      if (!runs.is_kept[runs.first[run] + i].item<bool>()) continue;
      const auto exact = rows[runs.begin[run] + i].to(at::kDouble);
      auto most = expected_largest[run];
      most.copy_(at::maximum(most, exact.abs().to(at::kFloat)));
      expected_sum[run] += exact;
      terms[run] += exact.abs();
      expected_square[run] += exact.square();
      const auto value = exact.to(at::kFloat);
      expected_lowest[run].copy_(at::minimum(expected_lowest[run], value));
      expected_highest[run].copy_(at::maximum(expected_highest[run], value));
    }
  }
  add(rows, runs,
      has_range ? ChannelSums{largest, sum, square, lowest, highest}
                : ChannelSums{largest, sum, square});
  if (has_range) {
    EXPECT_TRUE(at::equal(lowest, expected_lowest));
    EXPECT_TRUE(at::equal(highest, expected_highest));
  }
  EXPECT_TRUE(at::equal(largest, expected_largest));
  EXPECT_TRUE((sum - expected_sum).abs().le(1e-14 * terms).all().item<bool>());
  EXPECT_TRUE(at::allclose(square, expected_square, 1e-14, 0));
}

class ChannelSumsOfRuns : public testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override { at::manual_seed(3); }
};

TEST_P(ChannelSumsOfRuns, AreThoseOfTheKeptRowsOfEachRunAddedToWhatIsThere) {
  for (const int64_t channels : {1, 63, 64, 65, 200}) {
    const auto wide = (at::randn({48, channels + 5}) * 9).to(GetParam());
    const auto rows = wide.narrow(1, 2, channels);  // rows apart by more than their channels
    const RowRuns runs = {{0, 7, 7, 30}, {0, 16, 16}, at::rand({30}) > 0.4};
    for (const bool has_range : {false, true}) {
      expect_sums_of_runs(add_channel_sums, rows, runs, has_range);
    }
  }
}

TEST_P(ChannelSumsOfRuns, AreTheSameByOperatorsOfAten) {
  const auto rows = (at::randn({30, 65}) * 9).to(GetParam());
  const std::vector<int64_t> first = {0, 7, 7, 30};
  const RowRuns runs = {first, first, at::rand({30}) > 0.4};
  for (const bool has_range : {false, true}) {
    expect_sums_of_runs(by_operators::add_channel_sums, rows, runs, has_range);
  }
}

/// Of zeros either way the range's are those without a sign, whichever come first.
TEST_P(ChannelSumsOfRuns, RangesOfZerosHaveNoSign) {
  const auto zeros = at::tensor({-0.0F, 0.0F, -0.0F}).view({3, 1}).to(GetParam());
  const RowRuns runs = {{0, 2, 3}, {0, 2}, at::ones({3}, at::kBool)};
  for (const Add add : {add_channel_sums, by_operators::add_channel_sums}) {
    const auto infinite = at::full({2, 1}, std::numeric_limits<float>::infinity());
    const auto lowest = infinite.clone(), highest = infinite.neg();
    const auto wide = at::zeros({2, 1}, at::kDouble);
    add(zeros, runs, {at::zeros({2, 1}), wide, wide.clone(), lowest, highest});
    EXPECT_FALSE(at::signbit(lowest).logical_or(at::signbit(highest)).any().item<bool>());
    EXPECT_TRUE(lowest.eq(0).logical_and(highest.eq(0)).all().item<bool>());
  }
}

INSTANTIATE_TEST_SUITE_P(Types, ChannelSumsOfRuns,
                         testing::Values(at::kFloat, at::kBFloat16, at::kHalf),
                         [](const auto& tested) { return at::toString(tested.param); });

}  // namespace
}  // namespace actsweep
