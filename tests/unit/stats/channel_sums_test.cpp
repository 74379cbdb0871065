// The kernel over a CPU's rows, and operators for other devices, against sums row by row.
#include "stats/channel_sums.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace actsweep {
namespace {

using Add = void (*)(const at::Tensor&, const RowRuns&, const ChannelSums&);

/// Of each run the largest magnitudes, sums and sums of squares of its kept rows, added to what is
/// there.
void expect_sums_of_runs(Add add, const at::Tensor& rows, const RowRuns& runs) {
  const int64_t count = static_cast<int64_t>(runs.first.size()) - 1, channels = rows.size(1);
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
    }
  }
  add(rows, runs, {largest, sum, square});
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
    expect_sums_of_runs(add_channel_sums, rows, runs);
  }
}

TEST_P(ChannelSumsOfRuns, AreTheSameByOperatorsOfAten) {
  const auto rows = (at::randn({30, 65}) * 9).to(GetParam());
  const std::vector<int64_t> first = {0, 7, 7, 30};
  expect_sums_of_runs(by_operators::add_channel_sums, rows,
                      {first, first, at::rand({30}) > 0.4});
}

INSTANTIATE_TEST_SUITE_P(Types, ChannelSumsOfRuns,
                         testing::Values(at::kFloat, at::kBFloat16, at::kHalf),
                         [](const auto& tested) { return at::toString(tested.param); });

}  // namespace
}  // namespace actsweep
