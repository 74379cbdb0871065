#include "stats/loss_statistics.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "reference.h"

namespace actsweep::testing {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Windows of 3 and 2 tokens and one of 1 without a target, then padding.
struct LossBatch {
  Batch batch = make_batch({3, 2, 1, 0}, 1, 1);
  at::Tensor nll =
      at::tensor({1.0f, 2.0f, kNan, 4.0f, kNan, 99.0f, kNan, 99.0f, 99.0f, 99.0f, 99.0f, 99.0f});
};

Values scalars_of(const LossStatistics& statistics) {
  Values values;
  for (const Field& field : statistics.fields()) {
    values[field.dataset->path] = {field.values.item<double>()};
  }
  return values;
}

TEST(LossStatistics, SumsTargetsAndWindowMeans) {
  const LossBatch loss;
  LossStatistics statistics(Job{}, at::kCPU);
  statistics.begin_segment();
  CollectingSink sink;
  statistics.update(loss.batch.labels, loss.nll, sink);
  Values values = scalars_of(statistics);
  EXPECT_EQ(values["loss/nll_sum"][0], 7);
  EXPECT_EQ(values["loss/target_count"][0], 3);
  EXPECT_EQ(values["loss/window_mean_sum"][0], 1.5 + 4);
  EXPECT_EQ(values["loss/window_count"][0], 2);
  expect_equal(sink.values, {{"loss/token_nll", {1, 2, kNan, 4, kNan, kNan}}}, 0);

  statistics.update(loss.batch.labels, loss.nll, sink);
  EXPECT_EQ(scalars_of(statistics)["loss/nll_sum"][0], 14);
  statistics.begin_segment();
  EXPECT_EQ(scalars_of(statistics)["loss/nll_sum"][0], 0);
}

TEST(LossStatistics, AnInfiniteLossIsNotHidden) {
  LossBatch loss;
  loss.nll[1] = std::numeric_limits<float>::infinity();
  LossStatistics statistics(Job{}, at::kCPU);
  CollectingSink sink;
  statistics.update(loss.batch.labels, loss.nll, sink);
  EXPECT_TRUE(std::isinf(scalars_of(statistics)["loss/nll_sum"][0]));
}

TEST(LossStatistics, PerTokenNoneKeepsTheSums) {
  const LossBatch loss;
  Job job;
  job.output.per_token = PerToken::kNone;
  LossStatistics statistics(job, at::kCPU);
  CollectingSink sink;
  statistics.update(loss.batch.labels, loss.nll, sink);
  EXPECT_TRUE(sink.values.empty());
  EXPECT_EQ(scalars_of(statistics)["loss/target_count"][0], 3);
}

}  // namespace
}  // namespace actsweep::testing
