// Cosines and participation ratios against sums over whole matrices in float64.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "device.h"
#include "stats/participation.h"
#include "stats/row_cosines.h"

namespace actsweep {
namespace {

double exact_dot(const at::Tensor& left, const at::Tensor& right) {
  return (left.to(at::kDouble) * right.to(at::kDouble)).sum().item<double>();
}

double cosine(const at::Tensor& left, const at::Tensor& right) {
  return exact_dot(left, right) / std::sqrt(exact_dot(left, left) * exact_dot(right, right));
}

using Cosines = RowCosines (*)(const at::Tensor&, const at::Tensor&, int64_t);

class RowCosinesBy : public testing::TestWithParam<Cosines> {
 protected:
  void SetUp() override { at::manual_seed(5); }
};

TEST_P(RowCosinesBy, AreThoseOfEachRowWithTheFirstOfItsSequenceAndWithItselfBefore) {
  constexpr int64_t kPositions = 37, kSequences = 4;
  for (const int64_t channels : {1, 16, 75, 130}) {
    auto rows = at::randn({kSequences * kPositions, channels});
    rows.select(1, 0).mul_(1e4);
    const auto before = rows + at::randn_like(rows);
    const auto found = GetParam()(rows.to(test_device()), before.to(test_device()), kPositions);
    const auto first = found.first.to(at::kCPU), previous = found.previous.to(at::kCPU);
    for (int64_t row = 0; row < rows.size(0); ++row) {
      const auto of_first = rows[row / kPositions * kPositions];
      EXPECT_NEAR(first[row].item<float>(), cosine(rows[row], of_first), 3e-7);
      EXPECT_NEAR(previous[row].item<float>(), cosine(rows[row], before[row]), 3e-7);
    }
  }
}

TEST_P(RowCosinesBy, AreAbsentWhereANormIsZeroOrNotFiniteAndBeforeTheFirstLayer) {
  auto rows = at::ones({8, 20});
  rows[3].zero_();
  rows[6][2] = INFINITY;
  const auto found = GetParam()(rows.to(test_device()), {}, 4);
  EXPECT_TRUE(found.previous.isnan().all().item<bool>());
  const auto is_absent = found.first.isnan().to(at::kCPU);
  for (int64_t row = 0; row < 8; ++row) {
    EXPECT_EQ(is_absent[row].item<bool>(), row == 3 || row == 6) << row;
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, RowCosinesBy,
                         testing::Values(&row_cosines, &by_operators::row_cosines),
                         [](const auto& tested) {
                           return tested.index == 0 ? "ByDevice" : "ByOperators";
                         });

double textbook(const at::Tensor& rows) {
  const auto exact = rows.to(at::kDouble);
  const auto gram = at::mm(exact, exact.t());
  const double trace = gram.trace().item<double>();
  return trace * trace / at::mm(gram, gram).trace().item<double>();
}

TEST(Participation, IsThatOfTheWholeGramMatrixOnItsSmallerSide) {
  at::manual_seed(6);
  // Fewer tokens than channels, in one part and in several; more than twice as many.
  for (const auto& [tokens, channels] :
       {std::pair(1, 9), {5, 33}, {290, 200}, {130, 65}, {300, 7}, {700, 140}}) {
    auto rows = at::randn({tokens, channels});
    rows.select(1, 0).add_(3);
    rows[0].mul_(40);
    const auto found = participation_of(rows.to(test_device())).to(at::kCPU);
    const auto normed = rows / at::linalg_vector_norm(rows, 2, at::IntArrayRef{1}, true);
    EXPECT_NEAR(found[0].item<double>(), textbook(rows), 2e-6 * textbook(rows)) << tokens;
    EXPECT_NEAR(found[1].item<double>(), textbook(normed), 2e-6 * textbook(normed)) << tokens;
  }
}

TEST(Participation, LeavesRowsOfNothingOutAndIsAbsentWhereAValueIsNotFinite) {
  const auto participation = [](const at::Tensor& rows) {
    return participation_of(rows.to(test_device())).to(at::kCPU);
  };
  auto rows = at::zeros({6, 4});
  EXPECT_TRUE(participation(rows).isnan().all().item<bool>());
  rows[1][0] = 3;
  rows[4][2] = 3;
  EXPECT_TRUE(at::equal(participation(rows), at::full({2}, 2.0, at::kDouble)));
  for (const float value : {INFINITY, -INFINITY, NAN}) {
    rows[5][3] = value;
    EXPECT_TRUE(participation(rows).isnan().all().item<bool>());
    EXPECT_TRUE(participation(rows.repeat({3, 1})).isnan().all().item<bool>());
  }
}

}  // namespace
}  // namespace actsweep
