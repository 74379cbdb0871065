// xIELU against the formula of its paper, element by element in float64.
#include "kernels/xielu.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace actsweep {
namespace {

double softplus(double x) { return std::log1p(std::exp(x)); }

double expected(double x, double a, double b, double beta, double epsilon) {
  if (x > 0) return softplus(a) * x * x + beta * x;
  return (beta + softplus(b)) * (std::expm1(std::min(x, epsilon)) - x) + beta * x;
}

TEST(Xielu, IsThePapersFormulaInEveryChunk) {
  const auto numbers = at::tensor({0.3f, -0.7f, 0.4f, -0.05f});
  const int64_t rows = 300, width = 4001;  // more elements than a chunk has
  const auto inputs = at::linspace(-6, 6, rows * width).view({rows, width});
  auto hidden = inputs.clone();
  xielu(numbers, hidden);
  for (int64_t at = 0; at < rows * width; at += 997) {
    const auto x = inputs.const_data_ptr<float>()[at];
    const double y = expected(x, 0.3f, -0.7f, 0.4f, -0.05f);
    EXPECT_NEAR(hidden.const_data_ptr<float>()[at], y, 1e-5 * (1 + std::abs(y))) << x;
  }
}

TEST(Xielu, RoundsOnceToTheRowsType) {
  const auto numbers = at::tensor({0.3f, -0.7f, 0.4f, -0.05f});
  auto rounded = at::linspace(-3, 3, 64).view({4, 16}).to(at::kBFloat16);
  auto wide = rounded.to(at::kFloat);
  xielu(numbers, rounded);
  xielu(numbers, wide);
  EXPECT_TRUE(at::equal(rounded, wide.to(at::kBFloat16)));
}

}  // namespace
}  // namespace actsweep
