// Routed experts: how many tokens chose each, the largest magnitude of its output, and the inputs
// of its projections by channel.
//
// In: what this rank's experts give for the gathered rows. Out: fields over all experts, with this
// rank's filled in.
#pragma once

#include <string>
#include <vector>

#include "model/observer.h"
#include "stats/field_set.h"
#include "stats/gathered_sequences.h"

namespace actsweep {

class ExpertStatistics : public SegmentFields {
 public:
  ExpertStatistics(bool measures_inputs, const Extents& extents, at::Device device);

  void begin_segment() override { fields_.clear(); }
  void update(const ExpertView& view, const std::vector<GatheredSequence>& sequences);
  std::vector<Field> fields() const override { return fields_.fields(); }

 private:
  void add_input(const std::string& part, const ExpertView& view, const at::Tensor& rows,
                 const at::Tensor& kept) const;

  bool measures_inputs_;
  FieldSet fields_;
};

}  // namespace actsweep
