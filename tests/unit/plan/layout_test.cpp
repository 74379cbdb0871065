#include "plan/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "plan/facts_of_70b.h"
#include "plan/products.h"

namespace actsweep {
namespace {

SweepFacts llama_70b() {
  auto facts = facts_of_70b(1 << 20);
  facts.segments = {facts.sequences, 2, 16};
  return facts;
}

/// Eight experts of 4,096 x 14,336 in each layer; streamed.
SweepFacts mixtral() {
  auto facts = llama_70b();
  auto& a = facts.architecture;
  a.family = "mixtral";
  a.layers = 4;
  a.channels = a.embedding_width = 4096;
  a.heads = 32;
  a.ffn_width = 0;
  a.vocabulary = 32000;
  a.experts = {8, 2, 14336};
  a.experts.layers.assign(a.layers, true);
  facts.rows = mixtral_family().rows(a);
  facts.job.parallel.weights = WeightMode::kStreamed;
  facts.job.statistics.loss = false;
  return facts;
}

Machine with_memory(double gib, int64_t ranks = 1) {
  Machine machine;
  machine.ranks = ranks;
  machine.memory_bytes = static_cast<int64_t>(gib * (1ll << 30));
  machine.free_disk_bytes = 1ll << 50;
  return machine;
}

std::string refusal(const SweepFacts& facts, const Machine& machine) {
  try {
    plan_layout(facts, machine);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kJob);
    return error.what();
  }
  return "accepted";
}

TEST(Layout, ResidentWeightsOf70BTakeTheirBytes) {
  const auto demand = memory_demand(llama_70b(), 1, 1, 2);
  const double layer = 2.0 * 8192 * (8192 * 2 + 2 * 1024 + 3 * 28672);
  EXPECT_NEAR(static_cast<double>(demand.weights), 80 * layer, 0.001 * 80 * layer);
}

TEST(Layout, StreamedExpertsTakeTheBytesOfTwo) {
  const double expert = 2.0 * 3 * 4096 * 14336;
  for (const int64_t members : {1, 2, 3, 8}) {
    const auto demand = memory_demand(mixtral(), members, 1, members);
    EXPECT_NEAR(static_cast<double>(demand.weights), 2 * expert, 1e-3 * expert) << members;
  }
}

/// What a block of 8 windows takes more than one of 4, beside statistics.
int64_t bytes_of_four_windows(const SweepFacts& facts, int64_t members) {
  const auto small = memory_demand(facts, members, 1, 4);
  const auto large = memory_demand(facts, members, 1, 8);
  return large.residual + large.workspace - small.residual - small.workspace;
}

TEST(Layout, ABlockKeepsTheGatheredRowsOfStreamedExpertsAlone) {
  auto facts = mixtral();
  for (const int64_t members : {1, 2, 4}) {
    const int64_t tokens = 4 * 4096, owned = tokens / members;
    const int64_t residual = owned * 4096 * 4,
                  experts = tokens * (4096 * (2 + 4) + 2 * (8 + 4 + 8 + 4 + 8));
    facts.job.parallel.weights = WeightMode::kStreamed;
    EXPECT_EQ(bytes_of_four_windows(facts, members), residual + experts);
    facts.job.parallel.weights = WeightMode::kResident;
    EXPECT_EQ(bytes_of_four_windows(facts, members), residual);
  }
}

TEST(Layout, EachVariantHasAStreamAndItsOwnLayers) {
  auto facts = llama_70b();
  const auto alone = memory_demand(facts, 1, 1, 4);
  const double operations = sweep_operations(facts);
  for (const auto& [name, layer] : {std::pair("low", 20), {"high", 60}, {"low", 70}}) {
    auto& intervention = facts.job.interventions.emplace_back();
    intervention.layer = layer;
    intervention.variant = name;
  }
  const auto demand = memory_demand(facts, 1, 1, 4);
  EXPECT_EQ(demand.residual, 3 * alone.residual);
  EXPECT_EQ(demand.weights, alone.weights);
  EXPECT_EQ(first_layer_of(facts.job, "low"), 20);
  EXPECT_EQ(first_layer_of(facts.job, "high"), 60);
  // 60 and 20 of the 80 layers besides.
  EXPECT_NEAR(sweep_operations(facts) / operations, 2.0, 1e-9);
  EXPECT_EQ(axis_length(facts, Axis::kVariant), 2);
  EXPECT_EQ(axis_length(facts, Axis::kIntervention), 3);
}

TEST(Layout, AVariantInsideALayerHasThatLayerToo) {
  auto facts = llama_70b();
  const double operations = sweep_operations(facts);
  auto& intervention = facts.job.interventions.emplace_back();
  intervention.variant = "inside";
  intervention.layer = 61;
  intervention.site = Site::kMlpHidden;
  EXPECT_EQ(first_layer_of(facts.job, "inside"), 60);
  EXPECT_NEAR(sweep_operations(facts) / operations, 1.25, 1e-9);
  intervention.layer = std::nullopt;
  EXPECT_EQ(first_layer_of(facts.job, "inside"), 0);
}

TEST(Layout, ChangingALayerInsideTakesTheRowsOfLookingThere) {
  auto facts = llama_70b(), seen = llama_70b();
  facts.job.interventions.emplace_back().site = Site::kMlpHidden;
  seen.job.statistics.sites.push_back(Site::kMlpHidden);
  for (const int64_t members : {1, 2}) {
    EXPECT_EQ(memory_demand(facts, members, 1, members).workspace,
              memory_demand(seen, members, 1, members).workspace);
  }
}

TEST(Layout, AShuffleTakesTheRowsOfAllMembers) {
  auto facts = llama_70b();
  auto& intervention = facts.job.interventions.emplace_back();
  const int64_t rows = facts.segments.windows_per_microbatch * facts.job.corpus.sequence_length;
  for (const int64_t members : {1, 2}) {
    intervention.action = Action::kZero;
    const auto alone = memory_demand(facts, members, 1, members).workspace;
    intervention.action = Action::kShuffle;
    EXPECT_EQ(memory_demand(facts, members, 1, members).workspace - alone, rows * 8192 * 4);
  }
}

TEST(Layout, LookingInsideALayerTakesItsRows) {
  auto facts = llama_70b();
  const auto workspace = [&](int64_t members) {
    return memory_demand(facts, members, 1, members).workspace;
  };
  const int64_t alone = workspace(1), two = workspace(2);
  facts.job.statistics.sites.push_back(Site::kMlpHidden);
  const int64_t rows = facts.segments.windows_per_microbatch * facts.job.corpus.sequence_length;
  EXPECT_EQ(workspace(1) - alone, rows * 28672 * 4);
  // Half of the rows whole, and all rows of half of the neurons, sent and received.
  EXPECT_EQ(workspace(2) - two, rows / 2 * 28672 * 4 + 2 * rows * 28672 / 2 * 4);
  facts.job.statistics.attention = {"position:0"};
  EXPECT_GT(workspace(1) - alone, rows * 28672 * 4 + rows * 64 * 8);
}

TEST(Layout, GeometryAndUpdatesKeepTheOriginalAndTheFirstAPartOfTheGramMatrix) {
  auto facts = llama_70b();
  facts.job.interventions.emplace_back().variant = "zero";
  const auto alone = memory_demand(facts, 1, 1, 4);
  facts.job.statistics.geometry = true;
  const auto demand = memory_demand(facts, 1, 1, 4);
  EXPECT_EQ(2 * demand.residual, 3 * alone.residual);
  EXPECT_EQ(demand.workspace - alone.workspace, 128 * facts.job.corpus.sequence_length * 4);
  facts.job.statistics.event_updates = true;
  EXPECT_EQ(memory_demand(facts, 1, 1, 4).residual, 2 * alone.residual);
  facts.pads_groups = true;
  EXPECT_EQ(memory_demand(facts, 1, 1, 4).workspace - alone.workspace,
            1024 * facts.job.corpus.sequence_length * (4 + 2 * 8));
}

TEST(Layout, LifecyclesKeepTheirRowsThroughAllLayers) {
  auto facts = llama_70b();
  const auto alone = memory_demand(facts, 1, 1, 4);
  facts.job.statistics.lifecycle = true;
  facts.job.statistics.lifecycle_channels = {3, 9};
  facts.datasets = declare_datasets(facts.job);
  const auto demand = memory_demand(facts, 1, 1, 4);
  // The token's number, and of two channels the value and two updates, behind 80 layers and more.
  const int64_t of_token = 81 * (8 + 2 * 3 * 4);
  EXPECT_EQ(demand.statistics - alone.statistics, 4 * facts.job.corpus.sequence_length * of_token);
}

TEST(Layout, WidenedPiecesOfProductsAreWorkSpaceAndSaid) {
  auto facts = llama_70b();
  const auto machine = with_memory(1000);
  const auto alone = plan_layout(facts, machine);
  EXPECT_THAT(layout_table(facts, machine, alone), testing::Not(testing::HasSubstr("widened")));
  facts.widens_products = true;
  const auto widened = plan_layout(facts, machine);
  EXPECT_EQ(widened.memory.workspace - alone.memory.workspace, 12ll << 20);
  EXPECT_EQ(widened.memory.weights, alone.memory.weights);
  EXPECT_THAT(layout_table(facts, machine, widened),
              testing::HasSubstr("products      in float32, of widened bfloat16: this CPU has no"));
}

TEST(Layout, PaddedGroupsOfSequencesAreWorkSpace) {
  auto facts = llama_70b();
  facts.job.statistics.attention = {"position:0"};
  facts.job.corpus.sequence_length = 512;
  const auto workspace = [&] { return plan_layout(facts, with_memory(1000)).memory.workspace; };
  const auto alone = workspace();
  facts.pads_groups = true;
  const int64_t one = 6 * facts.job.corpus.sequence_length * 64 * 128 * 4;
  const int64_t group = 28 * (8ll << 20);
  EXPECT_EQ(workspace() - alone, group - one);
}

TEST(Layout, OnAGpuRowsLieOnTheHostAndAttentionAndNcclHaveTheirOwn) {
  auto facts = llama_70b();
  const auto on_cpu = memory_demand(facts, 8, 1, 8);
  EXPECT_EQ(on_cpu.host.total() + on_cpu.attention + on_cpu.collectives, 0);
  facts.pads_groups = true;
  auto demand = memory_demand(facts, 8, 1, 8);
  EXPECT_EQ(demand.weights, on_cpu.weights);
  EXPECT_LT(demand.statistics, on_cpu.statistics);
  EXPECT_EQ(demand.attention, 0);
  EXPECT_EQ(demand.collectives, 7 * (256ll << 20));
  // A layer's eighth, 214 MB in bfloat16, in a block of a power of two.
  EXPECT_EQ(demand.host.staging, 256ll << 20);
  facts.architecture.window.assign(80, 1024);
  EXPECT_EQ(memory_demand(facts, 1, 1, 8).attention, 1024 * 2048 * (2 + 1));
  facts.architecture.score_cap = 50;
  EXPECT_EQ(memory_demand(facts, 1, 1, 8).attention, 1024 * 2048 * (2 + 1) + 6 * (256ll << 20));
}

TEST(Layout, AHostThatIsTooSmallIsRefusedOrTakesSmallerBlocks) {
  auto facts = llama_70b();
  facts.pads_groups = true;
  // So long that rows which wait for their chunk take less than those of a whole segment.
  facts.segments.windows_per_segment = 128;
  auto machine = with_memory(1000);
  machine.is_gpu = true;
  const auto free = plan_layout(facts, machine);
  EXPECT_THAT(layout_table(facts, machine, free), testing::HasSubstr("a rank of unknown (staging"));
  machine.host_bytes = free.memory.host.total() - 1;
  const auto bound = plan_layout(facts, machine);
  EXPECT_LT(bound.block_windows, free.block_windows);
  EXPECT_LE(bound.memory.host.total(), machine.host_bytes);
  machine.memory_bytes = 1 << 30;
  facts.architecture.score_cap = 50;
  EXPECT_THAT(refusal(facts, machine),
              testing::HasSubstr(" GiB, attention 1.50 GiB) with blocks"));
  machine.memory_bytes = 1ll << 40;
  machine.host_bytes = 1 << 20;
  EXPECT_THAT(refusal(facts, machine), testing::HasSubstr("does not fit on the host: expected at"));
}

TEST(Layout, WhatARefusalProposesFits) {
  auto facts = llama_70b();
  const auto machine = with_memory(24);
  const auto text = refusal(facts, machine);
  EXPECT_THAT(text, testing::HasSubstr("parallel.weights=streamed"));
  facts.job.parallel.weights = WeightMode::kStreamed;
  const auto layout = plan_layout(facts, machine);
  EXPECT_LE(layout.memory.total(), machine.memory_bytes);
}

TEST(Layout, TheBlockIsTheLargestThatFits) {
  auto facts = llama_70b();
  facts.job.parallel.weights = WeightMode::kStreamed;
  auto machine = with_memory(0);
  machine.memory_bytes = memory_demand(facts, 1, 1, 6).total() + 1;
  const auto layout = plan_layout(facts, machine);
  EXPECT_EQ(layout.block_windows, 6);
  const auto larger =
      memory_demand(facts, 1, 1, layout.block_windows + facts.segments.windows_per_microbatch);
  EXPECT_GT(larger.total(), machine.memory_bytes);
}

TEST(Layout, AWorldThatTheGroupDoesNotDivideIsRefused) {
  auto facts = llama_70b();
  facts.job.parallel.tensor = 3;
  EXPECT_THAT(refusal(facts, with_memory(1000, 4)), testing::HasSubstr("tensor = 3"));
}

}  // namespace
}  // namespace actsweep
