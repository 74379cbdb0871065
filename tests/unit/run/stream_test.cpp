#include "run/stream.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>

namespace actsweep {
namespace {

constexpr int64_t kLayers = 4, kChannels = 3, kPositions = 2;

/// Sets a channel of every token of a layer's output.
Job::Intervention set_channel(int64_t channel, double value, std::optional<int64_t> layer,
                              std::optional<std::string> variant) {
  Job::Intervention intervention;
  intervention.layer = layer;
  intervention.channels = {channel};
  intervention.tokens = "all";
  intervention.action = Action::kValue;
  intervention.value = value;
  intervention.variant = std::move(variant);
  return intervention;
}

/// Variants "late" and "early" in the job's order; the second intervention is everybody's.
Job job_with_variants() {
  Job job;
  job.interventions = {set_channel(0, 10, 2, "late"), set_channel(0, 20, 2, std::nullopt),
                       set_channel(1, 30, 2, "late"), set_channel(2, 40, std::nullopt, "early")};
  return job;
}

/// Two micro-batches of one and of two sequences.
BlockLabels two_batches() {
  BlockLabels labels;
  for (const int64_t sequences : {1, 2}) {
    auto& own = labels.own.emplace_back();
    own.padded_length = kPositions;
    own.padded_sequences = sequences;
    for (int64_t i = 0; i < sequences; ++i) own.windows.push_back({i, 0, 0, kPositions, false});
    own.token_id.resize(own.row_count());
    own.token_class.resize(own.row_count());
    own.document.resize(own.row_count());
  }
  return labels;
}

std::vector<Stream> streams_of(const Job& job, bool has_experts = false) {
  std::vector<Intervention> interventions;
  for (const auto& wanted : job.interventions) {
    interventions.emplace_back("it", wanted, kLayers, at::Tensor());
  }
  Architecture a;
  a.channels = kChannels;
  a.experts.count = has_experts ? 2 : 0;
  StreamRoom room{6, 2 * 6, 2, at::TensorOptions().dtype(at::kFloat)};
  return make_streams(job, interventions, a, ModelShare(), room);
}

/// What a stream makes of zeros behind layer 2, [C] of its first token; `heard` becomes the tokens
/// that its listener hears of, by intervention.
std::vector<float> changed(Stream& stream, std::map<size_t, int64_t>& heard) {
  const auto labels = two_batches();
  const Architecture architecture;
  const Group group(MPI_COMM_SELF, nullptr);
  Stream::Listeners listeners;
  listeners.on_intervention = [&](size_t number, const Intervention::Counts& counts) {
    heard[number] += counts.tokens;
  };
  stream.listen(listeners, architecture, group);
  const auto rows = stream.rows_of(labels, 0).zero_();
  stream.intervene({2, labels.own[0], rows}, group);
  const auto* first = rows.const_data_ptr<float>();
  return {first, first + kChannels};
}

using Heard = std::map<size_t, int64_t>;

TEST(Streams, AreTheOriginalThenTheVariantsEachFromItsLowestLayer) {
  const auto streams = streams_of(job_with_variants());
  ASSERT_EQ(streams.size(), 3u);
  EXPECT_EQ(streams[0].first_layer(), 0);
  EXPECT_EQ(streams[1].first_layer(), 2);
  EXPECT_EQ(streams[2].first_layer(), 0);
  EXPECT_EQ(streams_of(Job()).size(), 1u);
}

TEST(Streams, AVariantHasItsOwnInterventionsBesideTheOriginalsInTheJobsOrder) {
  auto streams = streams_of(job_with_variants());
  Heard heard;
  EXPECT_EQ(changed(streams[0], heard), (std::vector<float>{20, 0, 0}));
  EXPECT_EQ(changed(streams[1], heard), (std::vector<float>{20, 30, 0}));
  EXPECT_EQ(changed(streams[2], heard), (std::vector<float>{20, 0, 40}));
}

TEST(Streams, AListenerHearsOfTheStreamsOwnInterventionsAlone) {
  auto streams = streams_of(job_with_variants());
  Heard original, late, early;
  changed(streams[0], original);
  changed(streams[1], late);
  changed(streams[2], early);
  EXPECT_EQ(original, (Heard{{1, kPositions}}));
  EXPECT_EQ(late, (Heard{{0, kPositions}, {2, kPositions}}));
  EXPECT_EQ(early, (Heard{{3, kPositions}}));
}

TEST(Streams, AVariantBeginsWithACopyOfTheOriginalsMicrobatchAndOfNoOther) {
  auto streams = streams_of(job_with_variants());
  const auto labels = two_batches();
  streams[0].rows_of(labels, 0).fill_(1);
  streams[0].rows_of(labels, 1).fill_(2);
  streams[1].rows_of(labels, 0).fill_(-1);
  streams[1].copy_rows(streams[0], labels, 1);
  streams[0].rows_of(labels, 1).zero_();
  EXPECT_TRUE(streams[1].rows_of(labels, 0).eq(-1).all().item<bool>());
  EXPECT_TRUE(streams[1].rows_of(labels, 1).eq(2).all().item<bool>());
  EXPECT_EQ(streams[1].rows_of(labels, 1).sizes(), (at::IntArrayRef{2 * kPositions, kChannels}));
}

TEST(Streams, ExpertsOfMicrobatchesThatPassTogetherAndOfStreamsShareNoRow) {
  auto streams = streams_of(job_with_variants(), true);
  const auto labels = two_batches();
  for (auto& stream : streams) stream.begin_layer(labels, {0, 2}, 2);
  float value = 0;
  for (auto& stream : streams) {
    stream.experts_of(0).sum.fill_(++value);
    stream.experts_of(1).sum.fill_(++value);
  }
  value = 0;
  for (auto& stream : streams) {
    for (const int64_t batch : {0, 1}) {
      const auto& sum = stream.experts_of(batch).sum;
      EXPECT_EQ(sum.size(0), 2 * labels.own[batch].row_count());
      EXPECT_TRUE(sum.eq(++value).all().item<bool>());
    }
  }
}

TEST(Streams, AMicrobatchThatPassesALayerAloneHasTheFirstRoomOfExperts) {
  auto streams = streams_of(Job(), true);
  const auto labels = two_batches();
  streams[0].begin_layer(labels, {0, 1}, 3);
  const auto* first = streams[0].experts_of(0).input.const_data_ptr();
  streams[0].begin_layer(labels, {1, 2}, 3);
  EXPECT_EQ(streams[0].experts_of(1).input.const_data_ptr(), first);
  EXPECT_EQ(streams[0].experts_of(1).input.size(0), 3 * labels.own[1].row_count());
  EXPECT_FALSE(streams[0].experts_of(1).routing.expert.defined());
}

}  // namespace
}  // namespace actsweep
