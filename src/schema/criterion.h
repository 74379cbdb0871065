// The criterion of a massive activation, and the bins of magnitudes. Mentions no tensor.
//
// In: a magnitude and a median magnitude. Out: whether it passes, as in arXiv 2402.17762: more than
// criterion_magnitude and at least criterion_ratio times the median. A median of 0, or NaN where
// nothing was finite, passes nothing.
#pragma once

#include <bit>
#include <cstdint>

#include "job/job.h"

namespace actsweep {

class Criterion {
 public:
  explicit Criterion(const Job& job)
      : magnitude_(job.statistics.criterion_magnitude), ratio_(job.statistics.criterion_ratio) {}

  /// Compared in float64, so that a product of two float32 cannot round across the bound.
  bool passes(float magnitude, float median) const {
    return magnitude > magnitude_ && median > 0 &&
           static_cast<double>(magnitude) >= ratio_ * static_cast<double>(median);
  }

 private:
  double magnitude_;
  double ratio_;
};

/// The lower edge of a bin: the magnitude whose float32 bits are the bin's number and 16 zeros.
inline float magnitude_bin_edge(int64_t bin) {
  return std::bit_cast<float>(static_cast<uint32_t>(bin) << 16);
}

}  // namespace actsweep
