// Fields by token class over all tokens of the class: count, sum, sum of squares by channel.
//
// In: measured micro-batches. Out: the fields of declare_class_moments.
#pragma once

#include <string>
#include <vector>

#include "stats/statistic.h"

namespace actsweep {

class ClassMoments : public Statistic {
 public:
  ClassMoments(Site site, const Extents& extents, at::Device device);
  void begin_segment() override { fields_.clear(); }
  void update(const SiteBatch& batch, const Measured& measured, const Outputs& outputs) override;
  std::vector<Field> fields() const override { return fields_.fields(); }

 private:
  FieldSet fields_;
};

}  // namespace actsweep
