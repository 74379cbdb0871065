#include "run/patience.h"

#include <gtest/gtest.h>

namespace actsweep {
namespace {

SweepFacts facts_of(int64_t windows, int64_t per_microbatch, int64_t layers) {
  SweepFacts facts;
  facts.segments.windows = windows;
  facts.segments.windows_per_microbatch = per_microbatch;
  facts.segments.windows_per_segment = windows / 4;
  facts.architecture.layers = layers;
  return facts;
}

TEST(Patience, IsFiftyStepsOfThePlan) {
  SweepLayout layout;
  layout.seconds = 1000;
  layout.replicas = 3;  // each step takes thrice what the plan's time says of one
  // 40 micro-batches through 5 layers, the embedding among them.
  EXPECT_DOUBLE_EQ(patience_of(facts_of(400, 10, 4), layout).step_s, 50 * 3000 / 200.0);
}

TEST(Patience, IsAtLeastTwoMinutes) {
  EXPECT_EQ(patience_of(facts_of(400, 10, 4), {}).step_s, 120);
}

TEST(Patience, IsTheJobsWhereItSaysOne) {
  auto facts = facts_of(400, 10, 4);
  facts.job.parallel.patience_s = 7;
  SweepLayout layout;
  layout.seconds = 1000;
  const auto patience = patience_of(facts, layout);
  EXPECT_EQ(patience.step_s, 7);
  EXPECT_DOUBLE_EQ(patience.waiting_s, 7 + 7 + 20 * 1000);
}

TEST(Patience, BytesAddWhatASlowDiskTakesForThem) {
  SweepLayout layout;
  layout.memory.weights = 1'000'000'000;
  layout.disk.segments = 1'000'000'000;
  auto facts = facts_of(400, 10, 4);
  const auto resident = patience_of(facts, layout);
  EXPECT_EQ(resident.step_s, 120);
  EXPECT_EQ(resident.loading_s, 220);
  EXPECT_EQ(resident.consolidation_s, 130);
  facts.job.parallel.weights = WeightMode::kStreamed;
  layout.memory.weights = 3'000'000'000;
  EXPECT_EQ(patience_of(facts, layout).step_s, 300);
}

}  // namespace
}  // namespace actsweep
