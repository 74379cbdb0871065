// What a quantiser asks of a site: signed extrema by channel and the token of the largest
// magnitude, kurtosis of tokens, the largest magnitudes of blocks of channels.
//
// In: measured micro-batches. Out: the fields of declare_quantiser_statistics, over the tokens that
// are finite. A token whose values are all equal has no kurtosis and enters the extrema alone.
#pragma once

#include "measure/quantiser_rows.h"
#include "stats/statistic.h"

namespace actsweep {

class QuantiserStatistics : public Statistic {
 public:
  QuantiserStatistics(Site site, const Extents& extents, at::Device device);
  void update(const SiteBatch& batch, const Measured& measured, const Outputs& outputs) override;

 private:
  void keep_largest(const SiteBatch& batch, const QuantiserSummary& summary);
};

}  // namespace actsweep
