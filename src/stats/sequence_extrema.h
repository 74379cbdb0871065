// Rows per sequence: the largest activations with their places, the median magnitude.
//
// In: measured micro-batches. Out: the rows of declare_sequence_extrema; ties go to the lower
// position, then to the lower channel; places that a sequence has no value for are NaN and
// kNoIndex.
#pragma once

#include <string>
#include <vector>

#include "stats/statistic.h"

namespace actsweep {

class SequenceExtrema : public Statistic {
 public:
  SequenceExtrema(Site site, int64_t top_k);
  void update(const SiteBatch& batch, const Measured& measured, const Outputs& outputs) override;
  void skip(const SiteBatch& batch, const Measured& nothing, const Outputs& outputs) override {
    update(batch, nothing, outputs);
  }

 private:
  void select_top(const Measured& measured, int64_t window, int64_t first_token, int64_t length);

  int64_t top_k_;
  std::vector<Dataset> datasets_;
  std::vector<float> value_;        // [S, k]
  std::vector<uint32_t> channel_;   // [S, k]
  std::vector<uint32_t> position_;  // [S, k]
};

}  // namespace actsweep
