// How long a rank may be silent before it counts as stuck, by what it does. Pure arithmetic.
#pragma once

#include "plan/layout.h"

namespace actsweep {

/// Seconds without a step. The first is [parallel] patience_s or, without it, some steps of the
/// plan; the others add to it what one rank may wait for while another works alone.
struct Patience {
  double step_s = 0;           // of a micro-batch through a layer
  double loading_s = 0;        // a rank's weights, from a slow disk
  double waiting_s = 0;        // for the slowest model group
  double consolidation_s = 0;  // what rank 0 writes alone
};

Patience patience_of(const SweepFacts& facts, const SweepLayout& layout);
/// Before there is a plan: while inputs are opened, and `bytes` of weights are read by rank 0.
double opening_patience_s(const Job& job, int64_t bytes);

}  // namespace actsweep
