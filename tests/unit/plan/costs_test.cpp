#include "plan/costs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/compare.h"
#include "plan/facts_of_70b.h"
#include "plan/products.h"
#include "plan/traffic.h"

namespace actsweep {
namespace {

constexpr int64_t kTokens = 1 << 22;

SweepFacts llama_70b(int64_t members = 8) {
  auto facts = facts_of_70b(kTokens);
  facts.job.parallel.tensor = members;
  facts.segments = plan_segments(facts.sequences, kTokens, facts.job, members);
  return facts;
}

Machine eight_gpus() {
  Machine machine;
  machine.ranks = machine.ranks_per_node = 8;
  machine.memory_bytes = 64ll << 30;
  machine.node_bytes = 1ll << 40;
  machine.is_gpu = true;
  machine.rates = {.products = 650e12,
                   .attention = 550e12,
                   .float32_products = 50e12,
                   .memory = 2.6e12,
                   .statistics = 370e9,
                   .link = 370e9,
                   .host_link = 50e9,
                   .gather = 20e9,
                   .network = 360e9,
                   .disk_read = 20e9,
                   .disk_write = 10e9,
                   .compression = 1.35e9,
                   .start_s = 20};
  return machine;
}

double seconds_of(const SweepCosts& costs, const std::string& name) {
  for (const auto& cost : costs.costs) {
    if (cost.name == name) return cost.seconds;
  }
  ADD_FAILURE() << "no cost " << name;
  return 0;
}

TEST(Products, OfALayerAreTwoOperationsAWeight) {
  const auto facts = llama_70b();
  const double weights = 8192.0 * (8192 + 2 * 1024) + 8192.0 * 8192 + 3 * 8192.0 * 28672;
  for (const int64_t members : {1, 2, 8}) {
    double operations = 0;
    for (const auto& one : layer_products(facts.architecture, facts.rows,
                                          share_of(facts.architecture, members, 0), 5)) {
      operations += one.operations();
    }
    EXPECT_DOUBLE_EQ(operations, 2 * weights / static_cast<double>(members)) << members;
  }
}

TEST(Products, ATokenHasThoseOfItsChosenExperts) {
  auto facts = llama_70b(1);
  auto& a = facts.architecture;
  a.family = "mixtral";
  a.ffn_width = 0;
  a.experts = {8, 2, 14336};
  a.experts.layers.assign(a.layers, true);
  facts.rows = mixtral_family().rows(a);
  double operations = 0;
  for (const auto& one : layer_products(a, facts.rows, share_of(a, 1, 0), 0))
    operations += one.operations();
  const double attention = 8192.0 * (8192 + 2 * 1024) + 8192.0 * 8192;
  EXPECT_DOUBLE_EQ(operations, 2 * (attention + 8.0 * 8192 + 2 * 3 * 8192.0 * 14336));
}

/// The keys that query i sees, counted one by one.
double counted_keys(int64_t length, int64_t window, int64_t chunk, bool is_causal) {
  int64_t keys = 0;
  for (int64_t i = 0; i < length; ++i) {
    for (int64_t j = 0; j < length; ++j) {
      const bool is_hidden = (is_causal && j > i) || (window > 0 && std::abs(i - j) >= window) ||
                             (chunk > 0 && i / chunk != j / chunk);
      keys += is_hidden ? 0 : 1;
    }
  }
  return static_cast<double>(keys) / static_cast<double>(length);
}

TEST(Products, KeysThatAQuerySeesAreThoseThatAreCountedOneByOne) {
  Architecture a;
  for (const int64_t window : {0, 1, 7, 96, 200}) {
    for (const bool is_causal : {true, false}) {
      a.window = {window};
      a.is_causal = is_causal;
      EXPECT_DOUBLE_EQ(keys_seen(a, 0, 96), counted_keys(96, window, 0, is_causal)) << window;
    }
  }
  a.window = {0};
  a.is_causal = true;
  a.chunk = {24};
  EXPECT_DOUBLE_EQ(keys_seen(a, 0, 96), counted_keys(96, 0, 24, true));
}

TEST(Collectives, RanksOfANodeReceiveWhatTheOthersHold) {
  // Twice gathered and twice scattered in each layer, 7 of 8 parts of a row of two-byte channels.
  const auto bytes = collective_bytes(llama_70b(), 8, 8);
  EXPECT_DOUBLE_EQ(bytes.within_node, 80 * 4 * 8192.0 * 2 * 7 / 8);
  EXPECT_EQ(bytes.into_node, 0);
  EXPECT_EQ(collective_bytes(llama_70b(1), 1, 8).within_node, 0);
}

TEST(Collectives, AGroupOverNodesReceivesRowsOnceAndPartialSumsForEachRank) {
  // 16 ranks of two nodes: half of each row comes from the other node.
  const auto bytes = collective_bytes(llama_70b(16), 16, 8);
  EXPECT_DOUBLE_EQ(bytes.into_node, 80 * 2 * 8192.0 * 2 / 2 * (1 + 8));
  EXPECT_DOUBLE_EQ(bytes.within_node, 80 * 4 * 8192.0 * 2 * 7 / 16);
}

TEST(Costs, OfTheReviewOnManyGpus) {
  // shared/design/many-gpus.md, 2.3: milliseconds of a layer and 32,768 tokens.
  const auto costs = sweep_costs(llama_70b(), eight_gpus(), 8, 32);
  const double parts = 80.0 * kTokens / 32768;
  EXPECT_NEAR(seconds_of(costs, "products") / parts, 10.8e-3, 0.4e-3);
  EXPECT_NEAR(seconds_of(costs, "attention") / parts, 0.55e-3, 0.1e-3);
  EXPECT_NEAR(seconds_of(costs, "collectives") / parts, 5.3e-3, 0.3e-3);
  EXPECT_EQ(costs.limit().name, "products");
}

TEST(Costs, BesideTheModelCountAsFarAsTheyTakeLonger) {
  SweepCosts costs;
  costs.costs = {{"a", Phase::kBefore, 1, ""},
                 {"b", Phase::kCompute, 10, ""},
                 {"c", Phase::kBeside, 8, ""},
                 {"d", Phase::kAfter, 2, ""}};
  EXPECT_DOUBLE_EQ(costs.seconds(), 13);
  costs.costs[2].seconds = 30;
  EXPECT_DOUBLE_EQ(costs.seconds(), 33);
  EXPECT_EQ(costs.limit().name, "c");
}

TEST(Costs, StreamedWeightsComeOnceABlock) {
  auto facts = llama_70b();
  EXPECT_EQ(passes_over_weights(facts, 1, 8), 1);
  facts.job.parallel.weights = WeightMode::kStreamed;
  // 1,024 windows in segments of 16: blocks of 8 are 128.
  EXPECT_EQ(facts.segments.windows_per_segment, 16);
  EXPECT_DOUBLE_EQ(passes_over_weights(facts, 1, 8), 128);
  EXPECT_DOUBLE_EQ(passes_over_weights(facts, 4, 16), 16);
}

TEST(Costs, AnUnknownMachineHasNone) {
  EXPECT_TRUE(sweep_costs(llama_70b(), Machine(), 1, 8).costs.empty());
  EXPECT_EQ(sweep_costs(llama_70b(), Machine(), 1, 8).seconds(), 0);
}

TEST(Compare, LayoutsThatFitAreOrderedByTime) {
  const auto choices = compare_layouts(llama_70b(), eight_gpus());
  EXPECT_EQ(choices.size(), 8u);  // groups of 1, 2, 4 and 8, resident and streamed
  const auto best = recommended(choices);
  ASSERT_TRUE(best.has_value());
  for (const auto& choice : choices) {
    const bool is_resident = choice.weights == WeightMode::kResident;
    if (is_resident && choice.members < 4) EXPECT_FALSE(choice.fits()) << choice.members;
    if (choice.fits()) EXPECT_LE(choice.memory_bytes, eight_gpus().memory_bytes);
    if (choice.fits()) EXPECT_LE(best->costs.seconds(), 1.01 * choice.costs.seconds());
  }
}

TEST(Compare, AModelThatFitsOnOneRankIsNotDivided) {
  auto facts = llama_70b();
  facts.architecture.layers = 4;
  const auto best = recommended(compare_layouts(facts, eight_gpus()));
  ASSERT_TRUE(best.has_value());
  EXPECT_EQ(best->members, 1);
  EXPECT_EQ(best->weights, WeightMode::kResident);
}

TEST(Layout, AMicrobatchAboveTheJobsIsSaid) {
  auto facts = llama_70b();  // 8 windows of 4,096 tokens, where the job says 8,192 tokens
  const auto machine = eight_gpus();
  const auto said = testing::HasSubstr("micro-batches have 32768 tokens");
  EXPECT_THAT(layout_table(facts, machine, plan_layout(facts, machine)), said);
  facts.job.parallel.microbatch_tokens = 32768;
  EXPECT_THAT(layout_table(facts, machine, plan_layout(facts, machine)), testing::Not(said));
}

}  // namespace
}  // namespace actsweep
