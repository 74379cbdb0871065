#include "stats/massive_events.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "device.h"
#include "reference.h"

namespace actsweep::testing {
namespace {

struct Found {
  std::vector<Event> events;
  double left_out = 0;
};

Found find(const Batch& batch, const Job& job, MeasuredBy measured_by = MeasuredBy::kDefault) {
  SiteStatistics statistics(Site::kResidual, job,
                            {{Axis::kLayer, 3}, {Axis::kChannel, batch.rows.size(1)}},
                            test_device(), measured_by);
  statistics.begin_segment();
  CollectingSink sink;
  Found found;
  statistics.update({batch.rows.to(test_device()), 2, &batch.labels}, sink, found.events);
  statistics.finish(sink, found.events);
  found.left_out = values_of(statistics.fields(), 2).at("massive/events_left_out")[0];
  return found;
}

/// Rows of ones, whose medians are 1.
Batch make_flat_batch(const std::vector<int64_t>& lengths, int64_t channels) {
  Batch batch = make_batch(lengths, channels, 1);
  for (size_t i = 0; i < batch.labels.windows.size(); ++i) {
    for (int64_t p = 0; p < batch.labels.windows[i].length(); ++p) {
      std::fill_n(row_of(batch, static_cast<int64_t>(i), p), channels, 1.0f);
    }
  }
  return batch;
}

TEST(MassiveEvents, PassAtTheRatioAndAboveTheMagnitude) {
  Job job;
  Batch batch = make_flat_batch({10}, 9);
  row_of(batch, 0, 4)[7] = -1000.0f;  // exactly the ratio: passes
  row_of(batch, 0, 5)[2] = 999.9999f;
  Found found = find(batch, job);
  ASSERT_EQ(found.events.size(), 1u);
  EXPECT_EQ(found.events[0].layer, 2);
  EXPECT_EQ(found.events[0].position, 4);
  EXPECT_EQ(found.events[0].channel, 7u);
  EXPECT_EQ(found.events[0].value, -1000.0f);
  EXPECT_EQ(found.events[0].ratio_to_token_median, 1000.0f);
  EXPECT_EQ(found.events[0].reading, kReadingSequenceMedian | kReadingTokenMedian);
  job.statistics.criterion_magnitude = 1000;  // exactly the magnitude: does not pass
  EXPECT_TRUE(find(batch, job).events.empty());
}

TEST(MassiveEvents, ReadingsSayAgainstWhichMedian) {
  Batch batch = make_flat_batch({10}, 9);
  std::fill_n(row_of(batch, 0, 3), 9, 2.0f);
  row_of(batch, 0, 3)[1] = 1500.0f;  // 1500 times the sequence's median, 750 times the token's
  std::fill_n(row_of(batch, 0, 6), 9, 0.1f);
  row_of(batch, 0, 6)[0] = 150.0f;  // 150 times the sequence's median, 1500 times the token's
  const Found found = find(batch, Job{});
  ASSERT_EQ(found.events.size(), 2u);
  EXPECT_EQ(found.events[0].reading, kReadingSequenceMedian);
  EXPECT_EQ(found.events[1].reading, kReadingTokenMedian);
}

TEST(MassiveEvents, AMedianOfZeroPassesNothing) {
  Batch batch = make_flat_batch({4}, 9);
  for (int64_t p = 0; p < 4; ++p) std::fill_n(row_of(batch, 0, p), 9, 0.0f);
  row_of(batch, 0, 2)[3] = 1e6f;
  EXPECT_TRUE(find(batch, Job{}).events.empty());
}

TEST(MassiveEvents, BeyondTheLimitAreCountedPerSequence) {
  Job job;
  job.statistics.max_events = 3;
  Batch batch = make_flat_batch({40, 30}, 9);
  for (int64_t p = 0; p < 5; ++p) row_of(batch, 0, 30 - p)[4] = p % 2 ? 5000.0f : -5000.0f;
  row_of(batch, 0, 30)[2] = 5000.0f;
  row_of(batch, 0, 35)[0] = 9000.0f;
  row_of(batch, 1, 29)[8] = 4000.0f;
  for (const MeasuredBy measured_by : {MeasuredBy::kDefault, MeasuredBy::kAten}) {
    const Found found = find(batch, job, measured_by);
    EXPECT_EQ(found.left_out, 4);
    std::vector<std::tuple<int64_t, int64_t, uint32_t>> places;
    for (const Event& event : found.events) {
      places.emplace_back(event.sequence, event.position, event.channel);
    }
    const std::vector<std::tuple<int64_t, int64_t, uint32_t>> expected = {
        {7, 35, 0}, {7, 26, 4}, {7, 27, 4}, {8, 29, 8}};
    EXPECT_EQ(places, expected);
  }
}

TEST(MassiveEvents, MoreThanTheTopOfATokenAreFound) {
  Job job;
  job.statistics.top_k = 1;
  job.statistics.max_events = 100;
  Batch batch = make_flat_batch({6}, 50);
  for (int64_t c = 0; c < 20; ++c) row_of(batch, 0, 2)[c] = 2000.0f;
  EXPECT_EQ(find(batch, job).events.size(), 20u);
}

TEST(MassiveEvents, SayWhatTheirLayerAndTheNextHaveChanged) {
  SiteStatistics statistics(Site::kResidual, Job{}, {{Axis::kLayer, 3}, {Axis::kChannel, 9}},
                            test_device());
  statistics.begin_segment();
  CollectingSink sink;
  std::vector<Event> events;
  const Batch empty = make_flat_batch({4, 3}, 9);
  // What each step adds to channel 7 of one token: the embedding, then mixer and MLP of two layers.
  auto rows = empty.rows.clone(), before = at::Tensor(), between = at::Tensor();
  const int64_t row = empty.labels.padded_length + 2;
  const auto pass = [&](int64_t layer, float of_mixer, float of_mlp) {
    if (layer > 0) before = rows.clone();
    rows[row][7] += of_mixer;
    if (layer > 0) between = rows.clone();
    rows[row][7] += of_mlp;
    const auto here = [](const at::Tensor& x) {
      return x.defined() ? x.to(test_device()) : at::Tensor();
    };
    statistics.update({here(rows.clone()), layer, &empty.labels, here(before), here(between)}, sink,
                      events);
    statistics.finish(sink, events);
  };
  pass(0, 2047, 0);
  pass(1, 1024, -512);
  pass(2, -8, -2048);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].before, events[0].value);
  EXPECT_EQ(events[0].attention_update, 0);
  EXPECT_EQ(events[0].mlp_update, 0);
  EXPECT_EQ(events[0].next_attention_update, 1024);
  EXPECT_EQ(events[0].next_mlp_update, -512);
  EXPECT_EQ(events[1].value, 2560);
  EXPECT_EQ(events[1].before, 2048);
  EXPECT_EQ(events[1].attention_update, 1024);
  EXPECT_EQ(events[1].mlp_update, -512);
  EXPECT_EQ(events[1].next_attention_update, -8);
  EXPECT_EQ(events[1].next_mlp_update, -2048);
}

TEST(MassiveEvents, ATokenThatIsNotFiniteHasNone) {
  Batch batch = make_flat_batch({6}, 9);
  row_of(batch, 0, 2)[3] = 1e6f;
  row_of(batch, 0, 2)[4] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(find(batch, Job{}).events.empty());
}

}  // namespace
}  // namespace actsweep::testing
