#include "measure/measurement.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "schema/declare.h"

namespace actsweep {
namespace {

constexpr int64_t kChannels = 37, kTopK = 3, kLength = 70, kWindows = 3;

struct Sample {
  OwnedRows labels;
  at::Tensor rows;  // [kWindows * kLength, kChannels] float32

  SiteBatch batch() const { return {rows, 0, &labels}; }
};

/// Three windows; one token is not finite, and no token is of the last class.
Sample make_sample() {
  Sample sample;
  sample.labels.padded_length = kLength;
  sample.labels.padded_sequences = kWindows;
  for (int64_t i = 0; i < kWindows; ++i) {
    sample.labels.windows.push_back({i, i * kLength, i * kLength, kLength, false});
  }
  const int64_t rows = sample.labels.row_count();
  sample.labels.token_id.assign(rows, 0);
  sample.labels.document.assign(rows, 0);
  for (int64_t row = 0; row < rows; ++row) sample.labels.token_class.push_back(row % 3);
  at::manual_seed(5);
  sample.rows = at::randn({rows, kChannels}, at::kFloat) * 4;
  sample.rows[4][2] = std::numeric_limits<float>::infinity();
  return sample;
}

/// What all slots point to.
struct Sums {
  at::Tensor tokens = at::zeros({2}, at::kLong);               // finite, not finite
  at::Tensor powers = at::zeros({3, kChannels}, at::kDouble);  // float64: sum, square, fourth power
  at::Tensor largest = at::zeros({kChannels}, at::kFloat);
  at::Tensor above_6 = at::zeros({kChannels}, at::kLong);
  at::Tensor class_count = at::zeros({kClasses}, at::kLong);
  at::Tensor of_class = at::zeros({2, kClasses, kChannels}, at::kDouble);  // sum, square
  at::Tensor histogram = at::zeros({kMagnitudeBins}, at::kLong);

  Slots slots() {
    auto* token = tokens.mutable_data_ptr<int64_t>();
    auto* power = powers.mutable_data_ptr<double>();
    auto* by_class = of_class.mutable_data_ptr<double>();
    return {token,
            token + 1,
            power,
            power + kChannels,
            power + 2 * kChannels,
            largest.mutable_data_ptr<float>(),
            above_6.mutable_data_ptr<int64_t>(),
            class_count.mutable_data_ptr<int64_t>(),
            by_class,
            by_class + kClasses * kChannels,
            histogram.mutable_data_ptr<int64_t>()};
  }
};

class EveryMeasurement : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { at::set_num_threads(2); }
  void TearDown() override { at::set_num_threads(1); }

  Sums measure(const std::vector<Sample>& batches) {
    Sums sums;
    for (const Sample& sample : batches) measure_into(sample, sums.slots());
    return sums;
  }
  Measured measure_into(const Sample& sample, const Slots& slots) {
    measurement_->start(sample.batch(), slots);
    return measurement_->finish();
  }

 private:
  std::unique_ptr<Measurement> measurement_ = GetParam() == "kernels"
                                                  ? make_kernel_measurement(kChannels, kTopK)
                                                  : make_aten_measurement(kChannels, kTopK);
};

TEST_P(EveryMeasurement, AddsToWhatItsSlotsHold) {
  Sample sample = make_sample();
  const Sums once = measure({sample});
  const Sums twice = measure({sample, sample});
  EXPECT_TRUE(at::equal(once.tokens, at::tensor({kWindows * kLength - 1, int64_t{1}}, at::kLong)));
  EXPECT_TRUE(at::equal(twice.tokens, once.tokens * 2));
  EXPECT_TRUE(at::equal(twice.powers, once.powers * 2));
  EXPECT_TRUE(at::equal(twice.above_6, once.above_6 * 2));
  EXPECT_TRUE(at::equal(twice.class_count, once.class_count * 2));
  EXPECT_TRUE(at::equal(twice.of_class, once.of_class * 2));
  EXPECT_TRUE(at::equal(twice.histogram, once.histogram * 2));
}

TEST_P(EveryMeasurement, RaisesTheLargestMagnitude) {
  Sample sample = make_sample();
  sample.rows[4].zero_();
  Sample smaller = sample;
  smaller.rows = sample.rows / 2;
  const at::Tensor largest = sample.rows.abs().amax(0);
  EXPECT_TRUE(at::equal(measure({sample, smaller}).largest, largest));
  EXPECT_TRUE(at::equal(measure({smaller, sample}).largest, largest));
}

/// The token that is not finite enters neither.
TEST_P(EveryMeasurement, TotalsAreTheClassesAddedUp) {
  const Sums sums = measure({make_sample()});
  EXPECT_TRUE(at::allclose(sums.powers.narrow(0, 0, 2), sums.of_class.sum(1), 1e-14, 1e-12));
  EXPECT_TRUE(at::equal(sums.class_count.sum(), sums.tokens[0]));
  EXPECT_EQ(sums.class_count[kClasses - 1].item<int64_t>(), 0);
}

TEST_P(EveryMeasurement, SlotsThatNobodyHandsOverAreLeftOut) {
  const Sample sample = make_sample();
  const Sums all = measure({sample});
  Sums some;
  Slots slots;
  slots.channel_sum = some.slots().channel_sum;
  slots.class_count = some.slots().class_count;
  const Measured rows = measure_into(sample, slots);
  EXPECT_TRUE(at::equal(some.powers[0], all.powers[0]));
  EXPECT_TRUE(at::equal(some.class_count, all.class_count));
  EXPECT_EQ(some.powers.narrow(0, 1, 2).abs().sum().item<double>(), 0);
  EXPECT_EQ(some.tokens.sum().item<int64_t>(), 0);
  EXPECT_EQ(some.histogram.sum().item<int64_t>(), 0);
  EXPECT_EQ(measure_into(sample, {}).token_top_channel, rows.token_top_channel);
}

INSTANTIATE_TEST_SUITE_P(Measurement, EveryMeasurement, ::testing::Values("kernels", "aten"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace actsweep
