#include "stats/register_moments.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "job/token_selector.h"
#include "reference.h"

namespace actsweep::testing {
namespace {

constexpr int64_t kRegisters = 2, kChannels = 3, kTokens = 5;

/// Three images of a class token, two registers and two patches, then a padding sequence.
Batch make_images() {
  Batch batch = make_batch({kTokens, kTokens, kTokens, 0}, kChannels, 3);
  for (size_t row = 0; row < batch.labels.token_class.size(); ++row) {
    const size_t place = row % kTokens;
    batch.labels.token_class[row] = place == 0 ? 0 : place <= kRegisters ? kRegisterClass : 2;
  }
  return batch;
}

Values measured(const Batch& batch) {
  SiteStatistics statistics(
      Site::kResidual, Job{},
      {{Axis::kLayer, 2}, {Axis::kChannel, kChannels}, {Axis::kRegister, kRegisters}}, at::kCPU);
  statistics.begin_segment();
  CollectingSink sink;
  std::vector<Event> events;
  for (int repeat = 0; repeat < 2; ++repeat) statistics.update(batch.at_layer(1), sink, events);
  return values_of(statistics.fields(), 1);
}

/// Sums over the images by plain loops.
Values expected(Batch& batch, const std::vector<int64_t>& images) {
  Values values;
  values["registers/count"] = {static_cast<double>(images.size())};
  values["registers/sum"].assign(kRegisters * kChannels, 0);
  values["registers/sum_square"].assign(kRegisters * kChannels, 0);
  for (const int64_t image : images) {
    for (int64_t i = 0; i < kRegisters * kChannels; ++i) {
      const double value = row_of(batch, image, 1 + i / kChannels)[i % kChannels];
      values["registers/sum"][i] += value;
      values["registers/sum_square"][i] += value * value;
    }
  }
  return values;
}

TEST(RegisterMoments, AddUpEachRegisterOverImages) {
  Batch batch = make_images();
  expect_equal(measured(batch), expected(batch, {0, 1, 2, 0, 1, 2}), 1e-12);
}

TEST(RegisterMoments, AnImageWithARegisterThatIsNotFiniteIsLeftOut) {
  Batch batch = make_images();
  row_of(batch, 1, 2)[0] = std::numeric_limits<float>::infinity();
  row_of(batch, 2, 0)[0] = std::numeric_limits<float>::quiet_NaN();  // its class token
  expect_equal(measured(batch), expected(batch, {0, 2, 0, 2}), 1e-12);
}

}  // namespace
}  // namespace actsweep::testing
