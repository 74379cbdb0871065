#include "kernels/delta_rule.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "kernels/short_convolution.h"

namespace actsweep {
namespace {

constexpr int64_t kHeads = 2, kGroup = 3, kKeyWidth = 5, kValueWidth = 7;

/// Positions on both sides of a chunk of 64; strengths and decays of all sizes.
DeltaRows random_rows(int64_t sequences, int64_t positions) {
  at::manual_seed(7);
  const auto unit = [&] {
    return unit_heads(at::randn({sequences * positions, kHeads * kKeyWidth}), positions, kKeyWidth);
  };
  const auto of_heads = [&] { return at::rand({sequences, positions, kHeads * kGroup}); };
  return {unit() * 0.5, unit(), at::randn({sequences, positions, kHeads * kGroup, kValueWidth}),
          of_heads(), -of_heads().square()};
}

/// The recurrence of arXiv 2412.06464, equation 10, position by position in float64.
at::Tensor recurrence(const DeltaRows& rows) {
  const auto out = at::empty(rows.value.sizes(), at::kDouble);
  for (int64_t b = 0; b < rows.value.size(0); ++b) {
    for (int64_t h = 0; h < rows.value.size(2); ++h) {
      auto state = at::zeros({kKeyWidth, kValueWidth}, at::kDouble);
      for (int64_t t = 0; t < rows.value.size(1); ++t) {
        const auto key = rows.key[b][h / kGroup][t].to(at::kDouble);
        const auto query = rows.query[b][h / kGroup][t].to(at::kDouble);
        const auto value = rows.value[b][t][h].to(at::kDouble);
        state = state * rows.decay[b][t][h].to(at::kDouble).exp();
        const auto change =
            (value - at::matmul(key, state)) * rows.strength[b][t][h].to(at::kDouble);
        state = state + at::outer(key, change);
        out[b][t][h].copy_(at::matmul(query, state));
      }
    }
  }
  return out;
}

TEST(GatedDeltaRule, EqualsTheRecurrence) {
  for (const int64_t positions : {1, 5, 64, 65, 150}) {
    const auto rows = random_rows(2, positions);
    const auto expected = recurrence(rows);
    const auto found = gated_delta_rule(rows).to(at::kDouble);
    EXPECT_LT((found - expected).abs().max().item<double>(),
              1e-5 * expected.abs().max().item<double>())
        << positions;
  }
}

TEST(GatedDeltaRule, SequencesDoNotSeeEachOther) {
  const auto rows = random_rows(2, 70);
  auto other = rows;
  const auto changed = [](const at::Tensor& x) {
    auto copy = x.clone();
    copy.select(0, 0).mul_(0.25);
    return copy;
  };
  other.query = changed(rows.query);
  other.value = changed(rows.value);
  other.decay = changed(rows.decay);
  EXPECT_TRUE(at::equal(gated_delta_rule(rows)[1], gated_delta_rule(other)[1]));
}

TEST(ShortConvolution, IsTheSumOverTheRowsBeforeInTheSequence) {
  const int64_t sequences = 2, positions = 6, channels = 3;
  for (const int64_t count : {1, 2, 4, 9}) {
    const auto taps = at::randn({channels, 1, count});
    const auto all = at::randn({sequences * positions, channels + 2});
    const auto rows = all.narrow(1, 1, channels);
    const auto bias = at::randn({channels});
    const auto found = convolve_causally(rows, taps, bias, positions);
    for (int64_t r = 0; r < sequences * positions; ++r) {
      auto expected = bias.to(at::kDouble);
      for (int64_t back = 0; back < count && back <= r % positions; ++back) {
        const auto tap = taps.select(1, 0).select(1, count - 1 - back).to(at::kDouble);
        expected += rows[r - back].to(at::kDouble) * tap;
      }
      EXPECT_LT((found[r].to(at::kDouble) - expected).abs().max().item<double>(), 1e-5) << r;
    }
  }
}

}  // namespace
}  // namespace actsweep
