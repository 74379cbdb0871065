// Fields by channel over all tokens: counts of tokens, power sums, largest magnitude, count of
// outliers.
//
// In: measured micro-batches. Out: the fields of declare_channel_moments. Sums over all tokens are
// the sums over the token classes, added up.
#pragma once

#include <string>
#include <vector>

#include "stats/statistic.h"

namespace actsweep {

class ChannelMoments : public Statistic {
 public:
  ChannelMoments(Site site, const Extents& extents, at::Device device);
  void begin_segment() override { fields_.clear(); }
  void update(const SiteBatch& batch, const Measured& measured, const Outputs& outputs) override;
  std::vector<Field> fields() const override { return fields_.fields(); }

 private:
  FieldSet fields_;
};

}  // namespace actsweep
