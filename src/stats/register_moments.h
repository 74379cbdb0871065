// Fields by register token: sum and sum of squares over images.
//
// In: measured micro-batches of a model with registers. Out: the fields of
// declare_register_moments. An image whose register rows are not all finite is left out.
#pragma once

#include "stats/statistic.h"

namespace actsweep {

class RegisterMoments : public Statistic {
 public:
  RegisterMoments(const Extents& extents, at::Device device);
  void update(const SiteBatch& batch, const Measured& measured, const Outputs& outputs) override;

 private:
  int64_t registers_;
};

}  // namespace actsweep
