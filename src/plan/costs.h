// What each part of a sweep costs, in seconds: from operations and bytes, and the rates of a
// machine. Pure arithmetic.
//
// Costs of the compute phase follow each other on a rank. Beside them go weights from disk and rows
// to it, which count as far as they take longer.
#pragma once

#include <string>
#include <vector>

#include "plan/demand.h"
#include "plan/machine.h"

namespace actsweep {

/// When a cost is paid.
enum class Phase {
  kBefore,  // one after the other, as are the next two
  kCompute,
  kAfter,
  kBeside,  // while ranks compute
};

struct Cost {
  std::string name;
  Phase phase = Phase::kCompute;
  double seconds = 0;
  std::string amount;  // operations or bytes, for people
};

struct SweepCosts {
  std::vector<Cost> costs;

  /// From start to end.
  double seconds() const;
  /// The largest.
  const Cost& limit() const;
};

/// Of model groups of `members` ranks and blocks of `block_windows` windows; no costs where the
/// rate of products is unknown.
SweepCosts sweep_costs(const SweepFacts& facts, const Machine& machine, int64_t members,
                       int64_t block_windows);

}  // namespace actsweep
