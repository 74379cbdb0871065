#include "stats/site_statistics.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "base/error.h"
#include "device.h"
#include "reference.h"

namespace actsweep::testing {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// What one configuration measures of some micro-batches at layer 1 of 2.
struct Result {
  Values values;
  std::vector<Event> events;
};

Result measure(const std::vector<Batch>& batches, const Job& job, MeasuredBy measured_by) {
  const int64_t channels = batches[0].rows.size(1);
  SiteStatistics statistics(Site::kResidual, job, {{Axis::kLayer, 2}, {Axis::kChannel, channels}},
                            test_device(), measured_by);
  statistics.begin_segment();
  CollectingSink sink;
  Result result;
  for (const Batch& batch : batches) {
    statistics.update({batch.rows.to(test_device()), 1, &batch.labels}, sink, result.events);
  }
  statistics.finish(sink, result.events);
  result.values = values_of(statistics.fields(), 1);
  result.values.merge(sink.values);
  for (const auto& [path, untouched] : values_of(statistics.fields(), 0)) {
    for (const double value : untouched) EXPECT_EQ(value, 0) << path;
  }
  return result;
}

/// A batch with what is hard: ties, zeros, non-finite tokens, a sequence without a finite token,
/// padding.
Batch make_hard_batch(int64_t channels) {
  Batch batch = make_batch({130, 64, 1, 3, 77, 0}, channels, 5 + channels);
  std::fill_n(row_of(batch, 0, 5), channels, 0.0f);
  std::fill_n(row_of(batch, 0, 70), channels, -7.5f);
  std::fill_n(row_of(batch, 1, 0), channels, 6.0f);
  std::fill_n(row_of(batch, 1, 63), channels, -6.0f);
  row_of(batch, 0, 9)[channels - 1] = kNan;
  row_of(batch, 0, 129)[channels / 2] = kInfinity;
  row_of(batch, 4, 76)[0] = -kInfinity;
  for (int64_t position = 0; position < 3; ++position) row_of(batch, 3, position)[0] = kNan;
  row_of(batch, 4, 3)[channels / 2] = 3e4f;
  row_of(batch, 4, 8)[channels / 3] = -3e4f;
  row_of(batch, 0, 127)[0] = std::numeric_limits<float>::max();
  row_of(batch, 0, 1)[channels - 1] = std::numeric_limits<float>::denorm_min();
  return batch;
}

void expect_same_events(const std::vector<Event>& found, const std::vector<Event>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    const Event &a = found[i], &b = expected[i];
    EXPECT_EQ(a.layer, 1);
    EXPECT_EQ(std::tie(a.sequence, a.position, a.document, a.token, a.token_id, a.token_class),
              std::tie(b.sequence, b.position, b.document, b.token, b.token_id, b.token_class));
    EXPECT_EQ(std::tie(a.reading, a.channel, a.value), std::tie(b.reading, b.channel, b.value));
    EXPECT_EQ(a.ratio_to_sequence_median, std::fabs(b.ratio_to_sequence_median));
    EXPECT_EQ(a.ratio_to_token_median, std::fabs(b.ratio_to_token_median));
  }
}

struct Configuration {
  int64_t channels;
  int64_t top_k;
  int threads;
  MeasuredBy measured_by;
};

class EveryConfiguration : public ::testing::TestWithParam<Configuration> {
 protected:
  void SetUp() override { at::set_num_threads(GetParam().threads); }
  void TearDown() override { at::set_num_threads(1); }
};

TEST_P(EveryConfiguration, AgreesWithDoubleLoops) {
  const auto [channels, top_k, threads, measured_by] = GetParam();
  Job job;
  job.statistics.top_k = top_k;
  const Batch batch = make_hard_batch(channels);
  const Result result = measure({batch}, job, measured_by);
  Values expected = expected_values(batch, top_k);
  int64_t left_out = 0;
  expect_same_events(result.events, expected_events(batch, job, left_out));
  expected["massive/events_left_out"] = {static_cast<double>(left_out)};
  expect_equal(result.values, expected, 1e-12);
  EXPECT_EQ(result.values.size(), expected.size());
}

TEST_P(EveryConfiguration, SplitEqualsWhole) {
  const auto [channels, top_k, threads, measured_by] = GetParam();
  Job job;
  job.statistics.top_k = top_k;
  const Batch first = make_hard_batch(channels);
  const Batch second = make_batch({5, 200, 8}, channels, 3);
  Batch whole = make_batch({130, 64, 1, 3, 77, 5, 200, 8, 0}, channels, 1);
  int64_t window = 0;
  for (const Batch* part : {&first, &second}) {
    for (size_t i = 0; i < part->labels.windows.size(); ++i, ++window) {
      whole.labels.windows[window] = part->labels.windows[i];
      for (int64_t p = 0; p < part->labels.windows[i].length(); ++p) {
        const int64_t from = static_cast<int64_t>(i) * part->labels.padded_length + p;
        const int64_t to = window * whole.labels.padded_length + p;
        whole.rows[to].copy_(part->rows[from]);
        whole.labels.token_id[to] = part->labels.token_id[from];
        whole.labels.token_class[to] = part->labels.token_class[from];
        whole.labels.document[to] = part->labels.document[from];
      }
    }
  }
  const Result parts = measure({first, second}, job, measured_by);
  const Result at_once = measure({whole}, job, measured_by);
  expect_equal(parts.values, at_once.values, 1e-12);
  ASSERT_EQ(parts.events.size(), at_once.events.size());
  EXPECT_GT(parts.events.size(), 0u);
}

TEST_P(EveryConfiguration, RepeatsToTheBit) {
  const auto [channels, top_k, threads, measured_by] = GetParam();
  Job job;
  job.statistics.top_k = top_k;
  const Batch batch = make_hard_batch(channels);
  const Values once = measure({batch}, job, measured_by).values;
  const Values again = measure({batch}, job, measured_by).values;
  for (const auto& [path, values] : once) {
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::isnan(values[i]) && std::isnan(again.at(path)[i])) continue;
      ASSERT_EQ(values[i], again.at(path)[i]) << path << " at " << i;
    }
  }
}

TEST_P(EveryConfiguration, PaddingReachesNothing) {
  const auto [channels, top_k, threads, measured_by] = GetParam();
  Job job;
  job.statistics.top_k = top_k;
  Batch batch = make_hard_batch(channels);
  const Values once = measure({batch}, job, measured_by).values;
  for (size_t i = 0; i < 6; ++i) {
    const int64_t length = i < 5 ? batch.labels.windows[i].length() : 0;
    for (int64_t p = length; p < batch.labels.padded_length; ++p) {
      std::fill_n(row_of(batch, static_cast<int64_t>(i), p), channels, 1.0f);
    }
  }
  expect_equal(measure({batch}, job, measured_by).values, once, 0);
}

std::vector<Configuration> configurations() {
  std::vector<Configuration> all;
  for (const MeasuredBy measured_by : {MeasuredBy::kDefault, MeasuredBy::kAten}) {
    for (const int threads : {1, 2, 5}) {
      for (const auto& [channels, top_k] :
           {std::pair<int64_t, int64_t>{1, 3}, {2, 1}, {37, 3}, {64, 40}, {577, 5}, {2304, 3}}) {
        all.push_back({channels, top_k, threads, measured_by});
      }
    }
  }
  return all;
}

std::string name_of(const ::testing::TestParamInfo<Configuration>& test) {
  const Configuration& c = test.param;
  return fmt::format("{}_C{}_k{}_threads{}",
                     c.measured_by == MeasuredBy::kDefault ? "kernels" : "aten", c.channels,
                     c.top_k, c.threads);
}

INSTANTIATE_TEST_SUITE_P(SiteStatistics, EveryConfiguration, ::testing::ValuesIn(configurations()),
                         name_of);

TEST(SiteStatistics, AFewBatchesOfRandomShapesAgreeWithDoubleLoops) {
  std::mt19937_64 random(11);
  for (int trial = 0; trial < 40; ++trial) {
    std::vector<int64_t> lengths;
    for (size_t windows = 1 + random() % 5; windows > 0; --windows) {
      lengths.push_back(1 + static_cast<int64_t>(random() % 140));
    }
    const Batch batch = make_batch(lengths, 1 + static_cast<int64_t>(random() % 150), random());
    at::set_num_threads(1 + static_cast<int>(random() % 3));
    const Result result = measure({batch}, Job{}, MeasuredBy::kDefault);
    expect_equal(result.values, expected_values(batch, 3), 1e-12);
    ASSERT_FALSE(HasFailure()) << "trial " << trial;
  }
  at::set_num_threads(1);
}

/// Medians of windows are guessed from the tiles before: the first window's tiles shrink and grow,
/// the second's values are more than are collected near a guess, the third is shared by threads.
TEST(SiteStatistics, MediansOfWindowsAreExactWhateverTheirTiles) {
  constexpr int64_t kChannels = 320;
  Batch batch = make_batch({700, 6000, 450}, kChannels, 3);
  for (const int64_t window : {0, 2}) {
    for (int64_t position = 0; position < batch.labels.windows[window].length(); ++position) {
      const float scale = std::exp2f(static_cast<float>(position / 64 * 5 % 7));
      float* row = row_of(batch, window, position);
      std::for_each(row, row + kChannels, [&](float& value) { value *= scale; });
    }
  }
  for (int64_t position = 0; position < 6000; ++position) {
    std::fill_n(row_of(batch, 1, position), kChannels, 3.0f + 1e-6f * (position % 1000));
  }
  const Values expected = expected_values(batch, 3);
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    expect_equal(measure({batch}, Job{}, MeasuredBy::kDefault).values, expected, 1e-12);
  }
  at::set_num_threads(1);
}

TEST(SiteStatistics, PerTokenNoneKeepsFieldsAndSequencesAlone) {
  Job job;
  job.output.per_token = PerToken::kNone;
  const Result result = measure({make_batch({9, 4}, 16, 2)}, job, MeasuredBy::kDefault);
  for (const auto& [path, values] : result.values) {
    EXPECT_EQ(path.find("residual/token_"), std::string::npos) << path;
  }
  EXPECT_TRUE(result.values.contains("residual/sequence_top_value"));
  EXPECT_TRUE(result.values.contains("residual/count"));
}

TEST(SiteStatistics, WritesWhatIsDeclared) {
  Job job;
  const Values values = measure({make_batch({9}, 16, 2)}, job, MeasuredBy::kDefault).values;
  size_t declared = 0;
  for (const Dataset& dataset : declare_datasets(job)) {
    const bool is_of_site = dataset.path.starts_with("residual/");
    if (!is_of_site && dataset.path != "massive/events_left_out") continue;
    ++declared;
    EXPECT_TRUE(values.contains(dataset.path)) << dataset.path;
  }
  EXPECT_EQ(values.size(), declared);
}

TEST(SiteStatistics, FewerThreadsThanAskedForAreRefused) {
  const Batch batch = make_batch({20, 20}, 8, 4);
  SiteStatistics statistics(Site::kResidual, Job{}, {{Axis::kLayer, 2}, {Axis::kChannel, 8}},
                            at::kCPU);
  CollectingSink sink;
  std::vector<Event> events;
  at::set_num_threads(2);
#pragma omp parallel num_threads(2)
  {
#pragma omp single  // OpenMP gives one thread to a region inside another
    EXPECT_THROW(statistics.update(batch.at_layer(1), sink, events), Error);
  }
  at::set_num_threads(1);
}

TEST(SiteStatistics, BeginSegmentForgets) {
  const Batch batch = make_batch({20}, 8, 4);
  SiteStatistics statistics(Site::kResidual, Job{}, {{Axis::kLayer, 2}, {Axis::kChannel, 8}},
                            at::kCPU);
  CollectingSink sink;
  std::vector<Event> events;
  statistics.begin_segment();
  statistics.update(batch.at_layer(1), sink, events);
  const Values once = values_of(statistics.fields(), 1);
  statistics.begin_segment();
  statistics.update(batch.at_layer(1), sink, events);
  expect_equal(values_of(statistics.fields(), 1), once, 0);
}

}  // namespace
}  // namespace actsweep::testing
