// The layouts that a number of ranks allows, side by side: ranks a model group, weights resident or
// streamed.
//
// In: the facts and the machine. Out: every layout in which ranks come out even and each has a
// head, whether it fits, how long it takes, and the recommended one of them. Pure arithmetic.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plan/costs.h"
#include "plan/layout.h"

namespace actsweep {

struct LayoutChoice {
  int64_t members = 1;
  WeightMode weights = WeightMode::kResident;
  int64_t microbatch_tokens = 0;  // as it comes out
  int64_t block_windows = 0;      // 0: it does not fit
  int64_t memory_bytes = 0;       // a rank, with the smallest block where it does not fit
  SweepCosts costs;

  bool fits() const { return block_windows > 0; }
};

std::vector<LayoutChoice> compare_layouts(const SweepFacts& facts, const Machine& machine);

/// The fastest that fits; of those within a hundredth of it the one with the smallest groups.
std::optional<LayoutChoice> recommended(const std::vector<LayoutChoice>& choices);

/// What a layout costs, line by line, and its limit.
std::string cost_table(const SweepFacts& facts, const Machine& machine, const SweepCosts& costs);
/// The layouts and the recommended one.
std::string comparison_table(const SweepFacts& facts, const Machine& machine);

}  // namespace actsweep
