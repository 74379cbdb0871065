// Field: how many finite values of a layer lie in each bin of magnitudes.
//
// In: measured micro-batches. Out: the field of declare_magnitude_histogram.
#pragma once

#include <string>
#include <vector>

#include "stats/statistic.h"

namespace actsweep {

class MagnitudeHistogram : public Statistic {
 public:
  MagnitudeHistogram(Site site, const Extents& extents, at::Device device);
  void begin_segment() override { fields_.clear(); }
  void update(const SiteBatch& batch, const Measured& measured, const Outputs& outputs) override;
  std::vector<Field> fields() const override { return fields_.fields(); }

 private:
  FieldSet fields_;
};

}  // namespace actsweep
