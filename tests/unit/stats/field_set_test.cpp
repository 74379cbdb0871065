#include "stats/field_set.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "schema/declare_statistics.h"

namespace actsweep {
namespace {

constexpr int64_t kLayers = 3, kChannels = 37, kLayer = 1;

FieldSet make_fields() {
  FieldSet fields(declare_channel_moments(group_of(Site::kResidual)),
                  {{Axis::kLayer, kLayers}, {Axis::kChannel, kChannels}}, at::kCPU);
  fields.clear();
  return fields;
}

/// The loops of the host and the operators of other devices, twice each, on host tensors.
TEST(FieldSet, LoopsAndOperatorsGiveTheSame) {
  const auto rows = at::randn({5, kChannels}, at::kDouble);
  const auto counts = at::randint(100, {kChannels}, at::kLong);
  const auto magnitudes = at::rand({kChannels}, at::kFloat);
  FieldSet looped = make_fields(), operated = make_fields();
  for (const double scale : {1.0, 2.0}) {
    looped.add("channel_sum_fourth", kLayer, rows[0] * scale);
    by_operators::add(operated.layer("channel_sum_fourth", kLayer), rows[0] * scale);
    looped.add_total("channel_sum", kLayer, rows * scale);
    by_operators::add_total(operated.layer("channel_sum", kLayer), rows * scale);
    looped.add("channel_count_above_6", kLayer, counts);
    by_operators::add(operated.layer("channel_count_above_6", kLayer), counts);
    const auto other = scale == 1.0 ? magnitudes : magnitudes.flip(0).contiguous();
    looped.raise("channel_max_magnitude", kLayer, other);
    by_operators::raise(operated.layer("channel_max_magnitude", kLayer), other);
  }
  const auto loops = looped.fields(), operators = operated.fields();
  for (size_t i = 0; i < loops.size(); ++i) {
    EXPECT_TRUE(at::allclose(loops[i].values, operators[i].values, 1e-14, 1e-14))
        << loops[i].dataset->path;
  }
  EXPECT_TRUE(at::allclose(looped.layer("channel_sum", kLayer), 3 * rows.sum(0)));
  EXPECT_TRUE(at::equal(looped.layer("channel_count_above_6", kLayer), 2 * counts));
  EXPECT_EQ(looped.layer("channel_sum", 0).abs().sum().item<double>(), 0);
}

TEST(FieldSet, NumbersGoToTheirLayer) {
  FieldSet fields = make_fields();
  fields.add("count", kLayer, 5);
  fields.add("count", kLayer, 2);
  EXPECT_TRUE(at::equal(fields.values("count"), at::tensor({0, 7, 0}, at::kLong)));
}

TEST(FieldSet, ClearLeavesAloneWhatOthersHold) {
  FieldSet fields = make_fields();
  fields.add("count", kLayer, 5);
  const auto held = fields.values("count");
  fields.clear();
  EXPECT_TRUE(at::equal(held, at::tensor({0, 5, 0}, at::kLong)));
  EXPECT_TRUE(at::equal(fields.values("count"), at::zeros({kLayers}, at::kLong)));
}

}  // namespace
}  // namespace actsweep
