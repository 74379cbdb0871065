// Routed experts: how many tokens chose each, the largest magnitude of its output, sums of gates and
// of norms (REAP, arXiv 2510.13999), and the inputs of its projections by channel.
//
// In: what this rank's experts give for the gathered rows. Out: fields over all experts, with this
// rank's filled in.
#pragma once

#include <string>
#include <vector>

#include "model/observer.h"
#include "stats/field_set.h"

namespace actsweep {

class ExpertStatistics : public SegmentFields {
 public:
  ExpertStatistics(bool measures_inputs, const Extents& extents, at::Device device);

  void begin_segment() override { fields_.clear(); }
  /// `is_token`: [gathered rows] bool, false for padding.
  void update(const ExpertsView& view, const at::Tensor& is_token);
  std::vector<Field> fields() const override { return fields_.fields(); }

 private:
  at::Tensor place_of(const std::string& name, const ExpertsView& view) const;

  bool measures_inputs_;
  FieldSet fields_;
};

}  // namespace actsweep
