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

TEST(FieldSet, SlotsArePlacesInTheirLayer) {
  FieldSet fields = make_fields();
  *fields.slot<int64_t>("count", kLayer) += 7;
  fields.slot<double>("channel_sum", kLayer)[kChannels - 1] = 0.5;
  EXPECT_TRUE(at::equal(fields.values("count"), at::tensor({0, 7, 0}, at::kLong)));
  EXPECT_EQ(fields.values("channel_sum").sum().item<double>(), 0.5);
  EXPECT_EQ(fields.layer("channel_sum", kLayer)[kChannels - 1].item<double>(), 0.5);
}

TEST(FieldSet, SlotsOfAnotherTypeOrLayerAreRefused) {
  const FieldSet fields = make_fields();
  EXPECT_ANY_THROW(fields.slot<double>("count", kLayer));
  EXPECT_ANY_THROW(fields.slot<int64_t>("count", kLayers));
}

TEST(FieldSet, ClearLeavesAloneWhatOthersHold) {
  FieldSet fields = make_fields();
  *fields.slot<int64_t>("count", kLayer) = 5;
  const auto held = fields.values("count");
  fields.clear();
  EXPECT_TRUE(at::equal(held, at::tensor({0, 5, 0}, at::kLong)));
  EXPECT_TRUE(at::equal(fields.values("count"), at::zeros({kLayers}, at::kLong)));
}

}  // namespace
}  // namespace actsweep
