#include "stats/request_scores.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "reference.h"

namespace actsweep::testing {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Windows of 3 and 2 tokens, then padding; the last of each has no target.
TEST(RequestScores, SumsWhatIsBehindTheFirstScored) {
  auto batch = make_batch({3, 2, 0}, 1, 1);
  batch.labels.requests.resize(2);
  batch.labels.requests[0].first_scored = 1;
  batch.labels.requests[1].first_scored = 1;
  const auto nll = at::tensor({1.0f, 2.0f, kNan, 4.0f, kNan, 99.0f, 99.0f, 99.0f, 99.0f});
  EXPECT_EQ(log_likelihoods(batch.labels, nll), (std::vector<double>{-3, -4}));
  batch.labels.requests[0].first_scored = 2;
  EXPECT_EQ(log_likelihoods(batch.labels, nll), (std::vector<double>{-2, -4}));
}

/// A BOS that the job puts before a window counts to no document.
TEST(RequestScores, PlacesAreThoseOfTheDocument) {
  auto batch = make_batch({3}, 1, 1);
  batch.labels.requests.resize(1);
  batch.labels.requests[0].first_scored = 1;
  batch.labels.windows[0].has_first = true;
  batch.labels.windows[0].corpus_length = 2;
  EXPECT_EQ(log_likelihoods(batch.labels, at::tensor({7.0f, 2.0f, kNan})), std::vector<double>{-2});
}

}  // namespace
}  // namespace actsweep::testing
