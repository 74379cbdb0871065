#include "schema/declare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "schema/event.h"

namespace actsweep {
namespace {

Job full_job(PerToken per_token = PerToken::kAll) {
  Job job;
  job.statistics.loss = true;
  job.statistics.quantisation = true;
  job.capture.prompts = {"summer", "winter"};
  job.output.per_token = per_token;
  job.interventions.emplace_back().variant = "zero";
  job.interventions.emplace_back();
  return job;
}

const Dataset* find(const std::vector<Dataset>& datasets, const std::string& path) {
  for (const auto& dataset : datasets) {
    if (dataset.path == path) return &dataset;
  }
  return nullptr;
}

TEST(Declarations, EveryDatasetHasUnitsAMeaningAndNamedAxes) {
  for (const PerToken per_token : {PerToken::kAll, PerToken::kMassive, PerToken::kNone}) {
    std::set<std::string> paths;
    for (const Dataset& dataset : declare_datasets(full_job(per_token))) {
      EXPECT_TRUE(paths.insert(dataset.path).second) << dataset.path << " stands twice";
      EXPECT_FALSE(dataset.units.empty()) << dataset.path;
      EXPECT_FALSE(dataset.long_name.empty()) << dataset.path;
      for (const Axis axis : dataset.axes) EXPECT_STRNE(name_of(axis), "") << dataset.path;
      EXPECT_STRNE(name_of(dataset.merge), "");
      EXPECT_STRNE(name_of(dataset.type), "");
      EXPECT_GT(size_of(dataset.type), 0);
    }
  }
}

TEST(Declarations, MergeRulesFitTheAxes) {
  const auto has = [](const Dataset& dataset, Axis axis) {
    return std::find(dataset.axes.begin(), dataset.axes.end(), axis) != dataset.axes.end();
  };
  for (const Dataset& dataset : declare_datasets(full_job(PerToken::kMassive))) {
    const bool has_rows =
        has(dataset, Axis::kToken) || has(dataset, Axis::kSequence) || has(dataset, Axis::kRow);
    EXPECT_EQ(dataset.merge == Merge::kRows, has_rows) << dataset.path;
    EXPECT_EQ(dataset.merge == Merge::kGather, has(dataset, Axis::kEvent)) << dataset.path;
    if (has(dataset, Axis::kFinding)) {
      EXPECT_EQ(dataset.merge, Merge::kDerived) << dataset.path;
    }
  }
}

TEST(Declarations, PerTokenMassiveMovesRowsToTheirOwnAxis) {
  const auto datasets = declare_datasets(full_job(PerToken::kMassive));
  const std::vector<Axis> axes = {Axis::kLayer, Axis::kRow, Axis::kOrder};
  EXPECT_EQ(find(datasets, "residual/token_top_value")->axes, axes);
  EXPECT_EQ(find(datasets, "loss/token_nll")->axes, std::vector<Axis>{Axis::kRow});
  EXPECT_EQ(find(datasets, "variants/token_nll")->axes,
            (std::vector<Axis>{Axis::kVariant, Axis::kRow}));
  EXPECT_EQ(find(datasets, "tokens/row_token")->index_of, Axis::kToken);
  EXPECT_EQ(find(datasets, "tokens/id")->axes, std::vector<Axis>{Axis::kToken});
}

TEST(Declarations, PerTokenNoneKeepsNoRowsPerToken) {
  const auto datasets = declare_datasets(full_job(PerToken::kNone));
  for (const char* path : {"residual/token_top_value", "residual/token_norm", "loss/token_nll",
                           "tokens/row_token", "variants/token_nll"}) {
    EXPECT_EQ(find(datasets, path), nullptr) << path;
  }
  EXPECT_NE(find(datasets, "loss/nll_sum"), nullptr);
  EXPECT_NE(find(datasets, "residual/sequence_top_value"), nullptr);
}

TEST(Declarations, LifecyclesHaveRowsOfTokensWithAnEventWhateverIsKeptPerToken) {
  for (const PerToken per_token : {PerToken::kAll, PerToken::kMassive, PerToken::kNone}) {
    Job job = full_job(per_token);
    job.statistics.lifecycle = true;
    const auto datasets = declare_datasets(job);
    const std::vector<Axis> axes = {Axis::kLayer, Axis::kRow, Axis::kNamedChannel};
    EXPECT_EQ(find(datasets, "lifecycle/value")->axes, axes);
    EXPECT_EQ(find(datasets, "tokens/row_token")->merge, Merge::kRows);
    EXPECT_EQ(find(datasets, "lifecycle_channel")->merge, Merge::kConstant);
  }
}

TEST(Declarations, LossAndCapturesStandOnlyWhereAskedFor) {
  for (const Dataset& dataset : declare_datasets(Job{})) {
    EXPECT_FALSE(dataset.path.starts_with("loss/")) << dataset.path;
    EXPECT_FALSE(dataset.path.starts_with("capture/")) << dataset.path;
    EXPECT_FALSE(dataset.path.starts_with("interventions/")) << dataset.path;
    EXPECT_FALSE(dataset.path.starts_with("variants/")) << dataset.path;
  }
  Job job;
  job.interventions.emplace_back();
  EXPECT_NE(find(declare_datasets(job), "interventions/matched_tokens"), nullptr);
  EXPECT_EQ(find(declare_datasets(job), "variants/nll_sum"), nullptr);
  EXPECT_NE(find(declare_datasets(full_job()), "capture/winter/residual"), nullptr);
}

TEST(Declarations, IndicesSayWhatTheyCount) {
  const auto datasets = declare_datasets(full_job());
  EXPECT_EQ(find(datasets, "tokens/sequence")->index_of, Axis::kSequence);
  EXPECT_EQ(find(datasets, "massive/sequence")->index_of, Axis::kSequence);
  EXPECT_EQ(find(datasets, "massive/token")->index_of, Axis::kToken);
  EXPECT_EQ(find(datasets, "residual/channel_max_token")->index_of, Axis::kToken);
  EXPECT_TRUE(find(datasets, "tokens/document")->counts_documents);
  EXPECT_TRUE(find(datasets, "massive/document")->counts_documents);
}

TEST(EventColumns, OfUpdatesFollowTheOthersWhereTheJobAsksForThem) {
  Job job;
  job.statistics.event_updates = true;
  std::vector<std::string> declared, columns;
  for (const Dataset& dataset : declare_datasets(job)) {
    if (dataset.merge == Merge::kGather) declared.push_back(dataset.path);
  }
  const std::vector<Event> events(3);
  for (const auto& column : event_columns(events)) columns.push_back(column.path);
  for (const auto& column : update_columns(events)) {
    columns.push_back(column.path);
    EXPECT_EQ(column.values.size(), 3u * sizeof(float)) << column.path;
  }
  EXPECT_EQ(columns, declared);
}

TEST(EventColumns, AreTheDeclaredOnesInOrderAndType) {
  Event event;
  event.sequence = 5;
  event.channel = 9;
  event.value = -2.5f;
  event.reading = 3;
  const std::vector<Event> events = {Event{}, event, Event{}};
  const auto columns = event_columns(events);
  size_t next = 0;
  for (const Dataset& dataset : declare_datasets(Job{})) {
    if (dataset.merge != Merge::kGather) continue;
    ASSERT_LT(next, columns.size());
    EXPECT_EQ(columns[next].path, dataset.path);
    EXPECT_EQ(columns[next].values.size(), 3u * size_of(dataset.type)) << dataset.path;
    ++next;
  }
  EXPECT_EQ(next, columns.size());
  const auto value_of = [&](const std::string& path, auto value) {
    for (const Column& column : columns) {
      if (column.path == path) {
        std::memcpy(&value, column.values.data() + sizeof value, sizeof value);
      }
    }
    return value;
  };
  EXPECT_EQ(value_of("massive/sequence", int64_t{0}), 5);
  EXPECT_EQ(value_of("massive/channel", uint32_t{0}), 9u);
  EXPECT_EQ(value_of("massive/value", 0.0f), -2.5f);
  EXPECT_EQ(value_of("massive/reading", uint8_t{0}), 3);
}

}  // namespace
}  // namespace actsweep
