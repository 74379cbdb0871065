// The columns of /tokens and /sequences for a run of windows.
#pragma once

#include <vector>

#include "run/inputs.h"
#include "schema/event.h"

namespace actsweep {

/// tokens/id, position, sequence, document, class along their tokens, and sequences/length along
/// the windows.
std::vector<Column> label_columns(const SweepInputs& inputs, WindowRange windows);

}  // namespace actsweep
