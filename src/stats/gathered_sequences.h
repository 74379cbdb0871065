// The sequences in the gathered rows of one micro-batch, with what every rank knows of them.
#pragma once

#include <cstdint>
#include <vector>

#include "corpus/window.h"

namespace actsweep {

struct GatheredSequence {
  int64_t first_row = 0;                 // of the gathered rows
  int64_t length = 0;                    // 0: padding
  int64_t sequence = 0;                  // number among the sweep's windows
  const uint8_t* token_class = nullptr;  // [length]
};

/// `members` has the labels of the rows that each rank of the model group owns, in rank order; it
/// must outlive the result.
std::vector<GatheredSequence> gathered_sequences(const std::vector<OwnedRows>& members);

}  // namespace actsweep
