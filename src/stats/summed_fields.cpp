#include "stats/summed_fields.h"

#include "schema/declare_statistics.h"

namespace actsweep {

ChannelMoments::ChannelMoments(Site site, const Extents& extents, at::Device device)
    : Statistic(FieldSet(declare_channel_moments(group_of(site, value_width_of(extents))), extents,
                         device)) {}

void ChannelMoments::hand_over(int64_t layer, Slots& slots) const {
  slots.count = fields_.slot<int64_t>("count", layer);
  slots.nonfinite_tokens = fields_.slot<int64_t>("nonfinite_tokens", layer);
  slots.channel_sum = fields_.slot<double>("channel_sum", layer);
  slots.channel_sum_square = fields_.slot<double>("channel_sum_square", layer);
  slots.channel_sum_fourth = fields_.slot<double>("channel_sum_fourth", layer);
  slots.channel_max_magnitude = fields_.slot<float>("channel_max_magnitude", layer);
  slots.channel_count_above_6 = fields_.slot<int64_t>("channel_count_above_6", layer);
}

MagnitudeHistogram::MagnitudeHistogram(Site site, const Extents& extents, at::Device device)
    : Statistic(FieldSet(declare_magnitude_histogram(group_of(site, value_width_of(extents))),
                         extents, device)) {}

void MagnitudeHistogram::hand_over(int64_t layer, Slots& slots) const {
  slots.magnitude_histogram = fields_.slot<int64_t>("magnitude_histogram", layer);
}

ClassMoments::ClassMoments(Site site, const Extents& extents, at::Device device)
    : Statistic(FieldSet(declare_class_moments(group_of(site, value_width_of(extents))), extents,
                         device)) {}

void ClassMoments::hand_over(int64_t layer, Slots& slots) const {
  slots.class_count = fields_.slot<int64_t>("class_count", layer);
  slots.class_sum = fields_.slot<double>("class_sum", layer);
  slots.class_sum_square = fields_.slot<double>("class_sum_square", layer);
}

RoleMoments::RoleMoments(Site site, const Extents& extents, at::Device device)
    : Statistic(FieldSet(declare_role_moments(group_of(site, value_width_of(extents))), extents,
                         device)) {}

void RoleMoments::hand_over(int64_t layer, Slots& slots) const {
  slots.role_count = fields_.slot<int64_t>("role_count", layer);
  slots.role_sum = fields_.slot<double>("role_sum", layer);
  slots.role_sum_square = fields_.slot<double>("role_sum_square", layer);
}

}  // namespace actsweep
