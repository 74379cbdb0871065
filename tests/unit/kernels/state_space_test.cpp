#include "kernels/state_space.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace actsweep {
namespace {

constexpr int64_t kHeads = 6, kWidth = 5, kStateWidth = 7;

/// Positions on both sides of a chunk of 64; steps and rates of all sizes, and a step of 0.
StateSpaceRows random_rows(int64_t sequences, int64_t positions, int64_t groups) {
  at::manual_seed(7);
  const auto normal = [&](int64_t units, int64_t width) {
    return at::randn({sequences, positions, units, width});
  };
  auto step = at::rand({sequences, positions, kHeads}).mul_(3);
  step.select(1, positions / 2).zero_();
  return {normal(kHeads, kWidth),    normal(groups, kStateWidth), normal(groups, kStateWidth), step,
          at::randn({kHeads}).exp(), at::randn({kHeads})};
}

/// The recurrence of arXiv 2405.21060, equation 2, with the steps of arXiv 2312.00752, equation 4,
/// as Mamba-2 has them: position by position in float64.
at::Tensor recurrence(const StateSpaceRows& rows) {
  const auto out = at::empty(rows.input.sizes(), at::kDouble);
  for (int64_t b = 0; b < rows.input.size(0); ++b) {
    for (int64_t h = 0; h < kHeads; ++h) {
      const int64_t group = h * rows.write.size(2) / kHeads;
      const auto rate = rows.rate[h].to(at::kDouble), skip = rows.skip[h].to(at::kDouble);
      auto state = at::zeros({kStateWidth, kWidth}, at::kDouble);
      for (int64_t t = 0; t < rows.input.size(1); ++t) {
        const auto input = rows.input[b][t][h].to(at::kDouble);
        const auto step = rows.step[b][t][h].to(at::kDouble);
        const auto write = rows.write[b][t][group].to(at::kDouble);
        state = state * (-rate * step).exp() + at::outer(write, input * step);
        out[b][t][h].copy_(at::matmul(rows.read[b][t][group].to(at::kDouble), state) +
                           skip * input);
      }
    }
  }
  return out;
}

TEST(StateSpace, EqualsTheRecurrence) {
  for (const int64_t groups : {1, 2, 6}) {
    for (const int64_t positions : {1, 5, 65, 150}) {
      const auto rows = random_rows(2, positions, groups);
      const auto expected = recurrence(rows);
      const auto found = state_space(rows).to(at::kDouble);
      EXPECT_LT((found - expected).abs().max().item<double>(),
                1e-5 * expected.abs().max().item<double>())
          << positions << " positions, " << groups << " groups";
    }
  }
}

}  // namespace
}  // namespace actsweep
