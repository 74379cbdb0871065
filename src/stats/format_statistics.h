// What a site's tokens lose in formats of low precision.
//
// In: measured micro-batches. Out: the fields of declare_format_errors, over the tokens that are
// finite.
#pragma once

#include <vector>

#include "stats/statistic.h"

namespace actsweep {

class FormatStatistics : public Statistic {
 public:
  FormatStatistics(Site site, std::vector<NumberFormat> formats, const Extents& extents,
                   at::Device device);
  void update(const SiteBatch& batch, const Measured& measured, const Outputs& outputs) override;

 private:
  std::vector<NumberFormat> formats_;
};

}  // namespace actsweep
