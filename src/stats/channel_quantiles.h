// Histograms of each channel's magnitudes, from which quantiles by channel follow.
//
// In: measured micro-batches. Out: the field of declare_channel_histogram, over the tokens that are
// finite.
#pragma once

#include "stats/statistic.h"

namespace actsweep {

class ChannelQuantiles : public Statistic {
 public:
  ChannelQuantiles(Site site, const Extents& extents, at::Device device);
  void update(const SiteBatch& batch, const Measured& measured, const Outputs& outputs) override;
};

}  // namespace actsweep
