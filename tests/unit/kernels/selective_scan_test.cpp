#include "kernels/selective_scan.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace actsweep {
namespace {

constexpr int64_t kWidth = 70, kStates = 5;  // channels on both sides of a task of 64

SelectiveRows random_rows(int64_t sequences, int64_t positions) {
  at::manual_seed(7);
  const int64_t rows = sequences * positions;
  const auto normal = [&](int64_t width) { return at::randn({rows, width}); };
  auto step = at::rand({rows, kWidth}).mul_(3);
  step[rows / 2].zero_();
  return {normal(kWidth),
          step,
          normal(kStates),
          normal(kStates),
          at::randn({kWidth, kStates}).exp(),
          at::randn({kWidth}),
          positions};
}

/// The recurrence of arXiv 2312.00752, equation 2, with the state's matrix discretised by equation
/// 4 and what writes by the step alone, as the paper's code has it: position by position in
/// float64.
at::Tensor recurrence(const SelectiveRows& rows) {
  const auto out = at::empty(rows.input.sizes(), at::kDouble);
  const auto wide = [](const at::Tensor& x) { return x.to(at::kDouble); };
  const auto rate = wide(rows.rate), skip = wide(rows.skip);
  auto state = at::zeros_like(rate);
  for (int64_t r = 0; r < rows.input.size(0); ++r) {
    if (r % rows.positions == 0) state.zero_();
    const auto step = wide(rows.step[r]).unsqueeze(1), input = wide(rows.input[r]);
    state = state * (-step * rate).exp() + step * input.unsqueeze(1) * wide(rows.write[r]);
    out[r].copy_(at::matmul(state, wide(rows.read[r])) + skip * input);
  }
  return out;
}

TEST(SelectiveScan, EqualsTheRecurrenceInBothForms) {
  for (const int64_t positions : {1, 5, 80}) {
    const auto rows = random_rows(3, positions);
    const auto expected = recurrence(rows);
    for (const auto& found : {selective_scan(rows), selective_scan_aten(rows)}) {
      EXPECT_LT((found.to(at::kDouble) - expected).abs().max().item<double>(),
                1e-5 * expected.abs().max().item<double>())
          << positions;
    }
  }
}

}  // namespace
}  // namespace actsweep
