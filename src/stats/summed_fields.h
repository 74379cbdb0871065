// The statistics that are sums of the measurement alone: fields by channel over all tokens, by
// token class and role, by magnitude.
//
// In: nothing but slots, which are their fields. Out: the fields of declare_channel_moments,
// declare_magnitude_histogram, declare_class_moments and declare_role_moments.
#pragma once

#include "stats/statistic.h"

namespace actsweep {

/// Counts of tokens, power sums, largest magnitude, count of outliers.
class ChannelMoments : public Statistic {
 public:
  ChannelMoments(Site site, const Extents& extents, at::Device device);
  void hand_over(int64_t layer, Slots& slots) const override;
};

/// How many finite values of a layer lie in each bin of magnitudes.
class MagnitudeHistogram : public Statistic {
 public:
  MagnitudeHistogram(Site site, const Extents& extents, at::Device device);
  void hand_over(int64_t layer, Slots& slots) const override;
};

/// Count, sum and sum of squares by channel of the tokens of each class.
class ClassMoments : public Statistic {
 public:
  ClassMoments(Site site, const Extents& extents, at::Device device);
  void hand_over(int64_t layer, Slots& slots) const override;
};

/// The same of the tokens of each role and class.
class RoleMoments : public Statistic {
 public:
  RoleMoments(Site site, const Extents& extents, at::Device device);
  void hand_over(int64_t layer, Slots& slots) const override;
};

}  // namespace actsweep
