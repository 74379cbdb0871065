// The kernels of a device against ATen's operators and against a sum in a written order.
#include "kernels/weighted_rows.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <array>

#include "device.h"
#include "kernels/ops.h"

namespace actsweep {
namespace {

constexpr int64_t kRows = 23, kChosen = 3, kList = kRows * kChosen;

class WeightedSum : public testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override { at::manual_seed(5); }

  /// Places [first, first + count) of a list in which every row of the sum has three.
  WeightedRows rows_of(int64_t first, int64_t count, int64_t channels) const {
    const auto places = std::get<0>(at::randperm(kList, at::kLong).view({kRows, kChosen}).sort(1));
    const auto device = test_device();
    return {at::randn({count, channels}).to(device).to(GetParam()), first,
            at::rand({kList}).to(device), places.to(device).contiguous()};
  }
};

TEST_P(WeightedSum, HasTheBitsOfAtensOperators) {
  for (const int64_t channels : {1, 20, 77, 300}) {
    for (const auto& [first, count] :
         {std::array{int64_t{0}, kList}, {int64_t{11}, int64_t{30}}, {int64_t{60}, int64_t{9}}}) {
      const auto rows = rows_of(first, count, channels);
      auto mine = at::randn({kRows, channels}).to(test_device()), theirs = mine.clone();
      row_ops_of(mine.device()).add_weighted(mine, rows);
      kAtenRowOps.add_weighted(theirs, rows);
      EXPECT_TRUE(at::equal(mine, theirs)) << channels << " channels from " << first;
    }
  }
}

TEST_P(WeightedSum, AddsTheProductsOfARowInTheOrderOfTheirPlaces) {
  const auto rows = rows_of(0, kList, 9);
  auto sum = at::zeros({kRows, 9}).to(test_device());
  row_ops_of(sum.device()).add_weighted(sum, rows);
  for (int64_t row = 0; row < kRows; ++row) {
    auto expected = at::zeros({9}).to(test_device());
    for (int64_t i = 0; i < kChosen; ++i) {
      const auto place = rows.places_of[row][i].item<int64_t>();
      expected += rows.values[place].to(at::kFloat) * rows.weight[place];
    }
    EXPECT_TRUE(at::equal(sum[row], expected)) << row;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, WeightedSum, testing::Values(at::kFloat, at::kBFloat16, at::kHalf),
                         [](const auto& tested) { return at::toString(tested.param); });

}  // namespace
}  // namespace actsweep
