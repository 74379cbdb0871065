// Histograms of channels by quarter octaves, against powers of 2 in double.
#include "stats/channel_quantiles.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "device.h"
#include "measure/channel_histogram.h"
#include "reference.h"
#include "schema/quarter_octaves.h"

namespace actsweep::testing {
namespace {

/// The last bin whose lower edge is not above the magnitude.
int64_t bin_of(float value) {
  int64_t bin = 0;
  while (bin + 1 < 128 && std::fabs(value) >= std::pow(2.0, (bin + 1 - 56) / 4.0)) ++bin;
  return bin;
}

TEST(QuarterOctaves, BeginAtTheSmallestFloatNotBelowAPowerOfTwo) {
  EXPECT_EQ(lower_edge_of(0), 0.0f);
  EXPECT_EQ(lower_edge_of(56), 1.0f);
  EXPECT_EQ(lower_edge_of(127), std::bit_cast<float>(0x485744fd));
  for (int64_t bin = 1; bin < kQuarterOctaves; ++bin) {
    const float edge = lower_edge_of(bin), below = std::nextafter(edge, 0.0f);
    EXPECT_EQ(quarter_octave_of(std::bit_cast<int32_t>(edge)), bin);
    EXPECT_EQ(quarter_octave_of(std::bit_cast<int32_t>(below)), bin - 1);
    EXPECT_EQ(bin_of(edge), bin);
    EXPECT_EQ(bin_of(below), bin - 1);
  }
  EXPECT_EQ(quarter_octave_of(0), 0);
  EXPECT_EQ(quarter_octave_of(std::bit_cast<int32_t>(std::numeric_limits<float>::max())), 127);
}

/// Of all sizes, with windows whose tokens are left out.
Batch make_sizes(int64_t channels) {
  Batch batch = make_batch({90, 7, 1, 0}, channels, 2);
  for (int64_t p = 0; p < 90; ++p) {
    for (int64_t c = 0; c < channels; ++c) {
      row_of(batch, 0, p)[c] *= std::exp2(static_cast<float>((p * 7 + c) % 50 - 25));
    }
  }
  row_of(batch, 0, 3)[0] = 0.0f;
  row_of(batch, 0, 4)[0] = -0.0f;
  row_of(batch, 1, 2)[channels - 1] = std::nanf("");
  return batch;
}

std::vector<double> expected(Batch& batch) {
  const int64_t channels = batch.rows.size(1);
  std::vector<double> counts(channels * 128);
  for (size_t window = 0; window < batch.labels.windows.size(); ++window) {
    for (int64_t p = 0; p < batch.labels.windows[window].length(); ++p) {
      if (window == 1 && p == 2) continue;
      const float* row = row_of(batch, static_cast<int64_t>(window), p);
      for (int64_t c = 0; c < channels; ++c) ++counts[c * 128 + bin_of(row[c])];
    }
  }
  return counts;
}

TEST(ChannelQuantiles, CountEachChannelOfTheFiniteTokens) {
  Job job;
  job.statistics.channel_quantiles = true;
  for (const int64_t channels : {1, 31, 32, 33, 100}) {
    for (const int threads : {1, 3}) {
      at::set_num_threads(threads);
      Batch batch = make_sizes(channels);
      SiteStatistics statistics(Site::kResidual, job,
                                {{Axis::kLayer, 2}, {Axis::kChannel, channels}}, test_device());
      statistics.begin_segment();
      CollectingSink sink;
      std::vector<Event> events;
      statistics.update({batch.rows.to(test_device()), 1, &batch.labels}, sink, events);
      statistics.finish(sink, events);
      EXPECT_EQ(values_of(statistics.fields(), 1).at("residual/channel_histogram"),
                expected(batch));
    }
  }
  at::set_num_threads(1);
}

TEST(ChannelQuantiles, AreTheSameByOperatorsOfAten) {
  Batch batch = make_sizes(40);
  const std::vector<int64_t> counted = {0, 1, 5, 89};
  const auto mine = at::full({40, kQuarterOctaves}, 3, at::kLong), theirs = mine.clone();
  cpu::count_quarter_octaves(batch.rows, counted, mine);
  aten::count_quarter_octaves(batch.rows, counted, theirs);
  EXPECT_TRUE(at::equal(mine, theirs));
  EXPECT_EQ(mine.sum().item<int64_t>(), 3 * mine.numel() + 40 * 4);
}

}  // namespace
}  // namespace actsweep::testing
