#include "stats/image_scores.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace actsweep::testing {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::IsNan;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(ImageScores, RankCountsWhatStandsBeforeTheLabel) {
  const auto logits = at::tensor({1.0f, 3.0f, 2.0f, 0.0f, 5.0f, 5.0f}).view({2, 3});
  const auto answers = answers_of(logits, {0, 1});
  EXPECT_THAT(answers.label, ElementsAre(0, 1));
  EXPECT_THAT(answers.predicted, ElementsAre(1, 1));
  EXPECT_THAT(answers.label_rank, ElementsAre(2, 0));  // of equal ones the first stands before
  const double first = 1 - std::log(std::exp(1.0) + std::exp(3.0) + std::exp(2.0));
  const double second = -std::log(std::exp(-5.0) + 2);
  EXPECT_THAT(answers.label_log_likelihood,
              ElementsAre(DoubleNear(first, 1e-12), DoubleNear(second, 1e-12)));
  EXPECT_THAT(answers_of(logits, {0, 2}).label_rank, ElementsAre(2, 1));
}

/// A ruined model is never right.
TEST(ImageScores, LogitsThatAreNoNumbersStandBehindAll) {
  const auto logits = at::tensor({kNan, 1.0f, 2.0f, kNan, kNan, kNan}).view({2, 3});
  const auto answers = answers_of(logits, {0, 0});
  EXPECT_THAT(answers.predicted, ElementsAre(2, UINT32_MAX));
  EXPECT_THAT(answers.label_rank, ElementsAre(2, 2));
  EXPECT_THAT(answers.label_log_likelihood, ElementsAre(IsNan(), IsNan()));
  EXPECT_THAT(answers_of(logits, {1, 2}).label_rank, ElementsAre(1, 2));
}

TEST(ImageScores, LargeLogitsOverflowNothing) {
  const auto answers = answers_of(at::tensor({1e30f, -1e30f}).view({1, 2}), {0});
  EXPECT_THAT(answers.label_log_likelihood, ElementsAre(0.0));
}

}  // namespace
}  // namespace actsweep::testing
