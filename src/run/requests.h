// Whether the windows of a sweep are those that tasks ask for.
#pragma once

#include "run/inputs.h"

namespace actsweep {

/// Refuses (kJob) windows of a corpus of tasks that are not its whole documents.
void check_requests(const SweepInputs& inputs);

}  // namespace actsweep
