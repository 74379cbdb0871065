// Rows per token: the largest activations, the median magnitude, the norm.
//
// In: measured micro-batches. Out: the rows of declare_token_extrema; nothing where the job keeps
// no rows per token.
#pragma once

#include <string>
#include <vector>

#include "stats/statistic.h"

namespace actsweep {

class TokenExtrema : public Statistic {
 public:
  TokenExtrema(Site site, PerToken per_token);
  void update(const SiteBatch& batch, const Measured& measured, const Outputs& outputs) override;
  void skip(const SiteBatch& batch, const Measured& nothing, const Outputs& outputs) override {
    update(batch, nothing, outputs);
  }

 private:
  std::vector<Dataset> datasets_;
};

}  // namespace actsweep
