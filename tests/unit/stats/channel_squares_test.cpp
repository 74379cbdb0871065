// The kernel over a CPU's rows against ATen's operators.
#include "stats/channel_squares.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace actsweep {
namespace {

class ChannelSquares : public testing::TestWithParam<at::ScalarType> {};

TEST_P(ChannelSquares, AreThoseOfTheChosenRowsAddedToWhatIsThere) {
  at::manual_seed(3);
  for (const int64_t channels : {1, 63, 64, 65, 200}) {
    const auto wide = (at::randn({40, channels + 5}) * 9).to(GetParam());
    const auto rows = wide.narrow(1, 2, channels);  // rows apart by more than their channels
    const auto chosen = at::nonzero(at::rand({40}) > 0.4).select(1, 0).contiguous();
    auto largest = at::rand({channels}) * 20;
    auto squares = at::rand({channels}, at::kDouble);
    const auto exact = rows.index_select(0, chosen).to(at::kDouble);
    const auto expected_largest = at::maximum(largest, exact.abs().amax(0).to(at::kFloat));
    const auto expected_squares = squares + exact.square().sum(0);
    add_channel_squares(rows, chosen, largest, squares);
    EXPECT_TRUE(at::equal(largest, expected_largest));
    EXPECT_TRUE(at::allclose(squares, expected_squares, 1e-14, 0));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, ChannelSquares,
                         testing::Values(at::kFloat, at::kBFloat16, at::kHalf),
                         [](const auto& tested) { return at::toString(tested.param); });

}  // namespace
}  // namespace actsweep
