// Fields by register token: sum and sum of squares over images.
//
// In: measured micro-batches of a model with registers. Out: the fields of
// declare_register_moments. An image whose register rows are not all finite is left out.
#pragma once

#include <vector>

#include "stats/statistic.h"

namespace actsweep {

class RegisterMoments : public Statistic {
 public:
  RegisterMoments(const Extents& extents, at::Device device);
  void begin_segment() override { fields_.clear(); }
  void update(const SiteBatch& batch, const Measured& measured, const Outputs& outputs) override;
  std::vector<Field> fields() const override { return fields_.fields(); }

 private:
  int64_t registers_;
  FieldSet fields_;
};

}  // namespace actsweep
