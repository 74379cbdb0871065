// Routed experts: how many tokens chose each, the largest magnitude of its output, sums of gates
// and of norms (REAP, arXiv 2510.13999), and the inputs of its projections by channel, with their
// signed ranges where the job has `quantisation`.
//
// In: what this rank's experts give for the gathered rows. Out: fields over all experts, with this
// rank's filled in.
#pragma once

#include <string>
#include <vector>

#include "job/job.h"
#include "model/observer.h"
#include "stats/channel_sums.h"
#include "stats/field_set.h"

namespace actsweep {

class ExpertStatistics : public SegmentFields {
 public:
  ExpertStatistics(const Job& job, const Extents& extents, at::Device device);

  void begin_segment() override { fields_.clear(); }
  /// `is_token`: [gathered rows] bool, false for padding.
  void update(const ExpertsView& view, const at::Tensor& is_token);
  std::vector<Field> fields() const override { return fields_.fields(); }

 private:
  at::Tensor place_of(const std::string& name, const ExpertsView& view) const;
  ChannelSums sums_of(const std::string& part, const ExpertsView& view) const;

  bool measures_inputs_;
  bool measures_ranges_;
  FieldSet fields_;
};

}  // namespace actsweep
