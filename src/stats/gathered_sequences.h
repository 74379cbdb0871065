// The sequences in the gathered rows of one micro-batch, with what every rank knows of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "comm/group.h"
#include "corpus/window.h"

namespace actsweep {

struct GatheredSequence {
  int64_t first_row = 0;                 // of the gathered rows
  int64_t length = 0;                    // 0: padding, or left out
  int64_t sequence = 0;                  // number among the sweep's windows
  const uint8_t* token_class = nullptr;  // [length]
};

/// `members` has the labels of the rows that each rank of the model group owns, in rank order; it
/// must outlive the result.
std::vector<GatheredSequence> gathered_sequences(const std::vector<OwnedRows>& members);

/// The same, but those with a value that is not finite, in any member's slice of the gathered rows,
/// have length 0: a single key of that kind makes the attention of its whole sequence NaN. `rows`:
/// [gathered rows, this rank's channels]. Collective over `group`.
std::vector<GatheredSequence> finite_sequences(std::vector<GatheredSequence> sequences,
                                               const at::Tensor& rows, const Group& group);

}  // namespace actsweep
