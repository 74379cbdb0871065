#include "stats/quantiser_statistics.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "device.h"
#include "measure/quantiser_rows.h"
#include "reference.h"

namespace actsweep::testing {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Windows with what is hard: constant tokens, zeros of both signs, one massive value and its equal
/// of the other sign, tokens that are not finite.
Batch make_tails(int64_t channels) {
  Batch batch = make_batch({90, 7, 66, 1, 0}, channels, 3 + channels);
  std::fill_n(row_of(batch, 0, 5), channels, 0.0f);
  std::fill_n(row_of(batch, 0, 6), channels, -0.0f);
  std::fill_n(row_of(batch, 1, 2), channels, 0.1f);
  row_of(batch, 0, 4)[channels - 1] = kInfinity;
  row_of(batch, 2, 60)[0] = std::nanf("");
  row_of(batch, 2, 1)[channels / 2] = -3e4f;
  row_of(batch, 0, 70)[0] = std::numeric_limits<float>::max();
  row_of(batch, 2, 40)[0] = -std::numeric_limits<float>::max();
  return batch;
}

bool is_finite(const float* row, int64_t channels) {
  return std::all_of(row, row + channels, [](float x) { return std::isfinite(x); });
}

/// NaN where the values are equal.
double kurtosis_of(const float* row, int64_t channels) {
  long double mean = 0, second = 0, fourth = 0;
  for (int64_t c = 0; c < channels; ++c) mean += row[c];
  mean /= channels;
  for (int64_t c = 0; c < channels; ++c) {
    const long double off = row[c] - mean;
    second += off * off;
    fourth += off * off * off * off;
  }
  const bool is_constant = std::all_of(row, row + channels, [&](float x) { return x == row[0]; });
  if (is_constant) return std::nan("");
  return static_cast<double>(channels * fourth / (second * second) - 3);
}

/// Adds the row's blocks of `size` channels.
void count_blocks(const float* row, int64_t channels, int64_t size, double many,
                  std::vector<double>& histogram) {
  for (int64_t first = 0; first < channels; first += size) {
    float largest = 0;
    for (int64_t c = first; c < std::min(first + size, channels); ++c) {
      largest = std::max(largest, std::fabs(row[c]));
    }
    histogram[std::bit_cast<uint32_t>(largest) / 65536] += many;
  }
}

/// [C] the first token of the largest magnitude of each channel, -1 where none is above 0.
std::vector<double> largest_tokens(Batch& batch) {
  const int64_t channels = batch.rows.size(1);
  std::vector<double> tokens(channels, -1);
  std::vector<float> most(channels);
  for (size_t i = 0; i < batch.labels.windows.size(); ++i) {
    const auto& window = batch.labels.windows[i];
    for (int64_t p = 0; p < window.length(); ++p) {
      const float* row = row_of(batch, static_cast<int64_t>(i), p);
      if (!is_finite(row, channels)) continue;
      for (int64_t c = 0; c < channels; ++c) {
        if (std::fabs(row[c]) <= most[c]) continue;
        most[c] = std::fabs(row[c]);
        tokens[c] = static_cast<double>(window.first_token + p);
      }
    }
  }
  return tokens;
}

/// By plain loops, of `repeats` updates with the batch.
Values expected(Batch& batch, int repeats) {
  const int64_t channels = batch.rows.size(1);
  std::vector<double> lowest(channels, kInfinity), highest(channels, -kInfinity);
  std::vector<double> block16(kMagnitudeBins), block32(kMagnitudeBins);
  double count = 0, sum = 0, most = -kInfinity;
  for (size_t i = 0; i < batch.labels.windows.size(); ++i) {
    for (int64_t p = 0; p < batch.labels.windows[i].length(); ++p) {
      const float* row = row_of(batch, static_cast<int64_t>(i), p);
      if (!is_finite(row, channels)) continue;
      for (int64_t c = 0; c < channels; ++c) {
        lowest[c] = std::min<double>(lowest[c], row[c]);
        highest[c] = std::max<double>(highest[c], row[c]);
      }
      count_blocks(row, channels, 16, repeats, block16);
      count_blocks(row, channels, 32, repeats, block32);
      const double kurtosis = kurtosis_of(row, channels);
      if (std::isnan(kurtosis)) continue;
      count += repeats;
      sum += repeats * kurtosis;
      most = std::max(most, kurtosis);
    }
  }
  return {{"residual/channel_min", lowest},
          {"residual/channel_max", highest},
          {"residual/channel_max_token", largest_tokens(batch)},
          {"residual/kurtosis_count", {count}},
          {"residual/kurtosis_sum", {sum}},
          {"residual/kurtosis_max", {static_cast<float>(most)}},
          {"residual/block16_histogram", block16},
          {"residual/block32_histogram", block32}};
}

Extents extents_of(int64_t channels) { return {{Axis::kLayer, 2}, {Axis::kChannel, channels}}; }

Values measured(const Batch& batch, int repeats) {
  Job job;
  job.statistics.quantisation = true;
  SiteStatistics statistics(Site::kResidual, job, extents_of(batch.rows.size(1)), test_device());
  statistics.begin_segment();
  CollectingSink sink;
  std::vector<Event> events;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    statistics.update({batch.rows.to(test_device()), 1, &batch.labels}, sink, events);
  }
  statistics.finish(sink, events);
  return values_of(statistics.fields(), 1);
}

class QuantiserStatistics : public ::testing::TestWithParam<int64_t> {
 protected:
  void TearDown() override { at::set_num_threads(1); }
};

TEST_P(QuantiserStatistics, AgreeWithDoubleLoops) {
  Batch batch = make_tails(GetParam());
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    expect_equal(measured(batch, 2), expected(batch, 2), 1e-12);
  }
}

/// What runs on a GPU, on the host's tensors.
TEST_P(QuantiserStatistics, AtenAgreesWithTheKernels) {
  Batch batch = make_tails(GetParam());
  std::vector<int64_t> counted;
  for (int64_t row = 0; row < batch.labels.row_count(); ++row) {
    if (is_finite(batch.rows[row].const_data_ptr<float>(), GetParam())) counted.push_back(row);
  }
  const auto one = cpu::summarise_rows(batch.rows, counted);
  const auto other = aten::summarise_rows(batch.rows, counted);
  EXPECT_TRUE(at::equal(one.lowest, other.lowest));
  EXPECT_TRUE(at::equal(one.highest, other.highest));
  EXPECT_TRUE(at::equal(one.largest_row, other.largest_row));
  EXPECT_TRUE(at::allclose(one.kurtosis, other.kurtosis, 1e-12, 1e-12, /*equal_nan=*/true));
  EXPECT_TRUE(at::equal(one.block16_histogram, other.block16_histogram));
  EXPECT_TRUE(at::equal(one.block32_histogram, other.block32_histogram));
}

INSTANTIATE_TEST_SUITE_P(Channels, QuantiserStatistics,
                         ::testing::Values(2, 15, 16, 37, 48, 64, 577));

/// The values of one channel of two micro-batches, whose windows have a token each.
std::vector<double> token_of_largest(const std::vector<std::vector<float>>& batches) {
  Job job;
  job.statistics.quantisation = true;
  SiteStatistics statistics(Site::kResidual, job, extents_of(1), test_device());
  statistics.begin_segment();
  CollectingSink sink;
  std::vector<Event> events;
  int64_t first_token = 0;
  std::vector<Batch> kept;
  for (const auto& values : batches) {
    kept.push_back(make_batch(std::vector<int64_t>(values.size(), 1), 1, 1));
    Batch& batch = kept.back();
    for (size_t i = 0; i < values.size(); ++i) {
      batch.labels.windows[i].first_token = first_token++;
      *row_of(batch, static_cast<int64_t>(i), 0) = values[i];
    }
    statistics.update({batch.rows.to(test_device()), 0, &batch.labels}, sink, events);
    statistics.finish(sink, events);
  }
  return values_of(statistics.fields(), 0).at("residual/channel_max_token");
}

TEST(QuantiserStatistics, TheTokenOfTheLargestIsTheFirstThatHasIt) {
  EXPECT_EQ(token_of_largest({{1, -3, 2}, {3, -3}}), std::vector<double>{1});
  EXPECT_EQ(token_of_largest({{1, -3, 2}, {3, -4}}), std::vector<double>{4});
  EXPECT_EQ(token_of_largest({{0, -0.0f}, {-0.0f, 1e-45f}}), std::vector<double>{3});
}

TEST(QuantiserStatistics, ZerosHaveNoLargestToken) {
  EXPECT_EQ(token_of_largest({{0, -0.0f}, {0}}), std::vector<double>{-1});
}

TEST(QuantiserStatistics, OfNoTokenAreNeutral) {
  Job job;
  job.statistics.quantisation = true;
  const SiteStatistics statistics(Site::kResidual, job, extents_of(3), at::kCPU);
  const Values values = values_of(statistics.fields(), 0);
  EXPECT_EQ(values.at("residual/channel_min"), std::vector<double>(3, kInfinity));
  EXPECT_EQ(values.at("residual/channel_max"), std::vector<double>(3, -kInfinity));
  EXPECT_EQ(values.at("residual/channel_max_token"), std::vector<double>(3, -1));
  EXPECT_EQ(values.at("residual/kurtosis_max"), std::vector<double>{-kInfinity});
  EXPECT_EQ(values.at("residual/kurtosis_count"), std::vector<double>{0});
}

TEST(QuantiserStatistics, AreMeasuredWhereTheJobAsksForThem) {
  const SiteStatistics statistics(Site::kResidual, Job{}, extents_of(3), at::kCPU);
  EXPECT_FALSE(values_of(statistics.fields(), 0).contains("residual/channel_min"));
}

}  // namespace
}  // namespace actsweep::testing
