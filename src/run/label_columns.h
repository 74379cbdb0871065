// The columns of /tokens and /sequences for the rows that a rank owns of a block.
#pragma once

#include <vector>

#include "run/inputs.h"
#include "schema/event.h"

namespace actsweep {

/// tokens/id, position, sequence, document, class along their tokens, and sequences/length along
/// the windows; of tasks what each window asks.
std::vector<Column> label_columns(const SweepInputs& inputs, const std::vector<OwnedRows>& own);

}  // namespace actsweep
