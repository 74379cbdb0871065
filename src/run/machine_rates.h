// What this machine does in a second, measured at the shapes of a sweep.
//
// In: the facts of a sweep, a device, how much time it may take. Out: rates of one rank. Products,
// attention and element-wise steps are measured on random rows; disk and links are not, and stand
// for an ordinary machine's.
#pragma once

#include <ATen/core/Tensor.h>

#include "plan/demand.h"
#include "plan/machine.h"

namespace actsweep {

struct MeasuringEffort {
  double seconds = 1;           // of products
  int64_t longest_side = 4096;  // of a product on a CPU; sides beyond it count as this one
};

/// `plan` asks for its numbers alone; `run` goes on to measure activations.
inline constexpr MeasuringEffort kPlanEffort = {1, 4096};
inline constexpr MeasuringEffort kRunEffort = {0.03, 1024};

Rates measure_rates(const SweepFacts& facts, at::Device device, const MeasuringEffort& effort);

}  // namespace actsweep
