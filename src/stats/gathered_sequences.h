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
  int64_t length = 0;                    // 0: padding
  int64_t sequence = 0;                  // number among the sweep's windows
  const uint8_t* token_class = nullptr;  // [length]
};

struct GatheredSequences {
  std::vector<GatheredSequence> all;  // S, in the order of their rows
  at::Tensor length;                  // [S] int64, on the statistics' device
  at::Tensor is_token;                // [S, T] bool, on it: false for padding

  int64_t count() const { return static_cast<int64_t>(all.size()); }
  int64_t positions() const { return is_token.size(1); }  // T
};

/// `members` has the labels of the rows that each rank of the model group owns, in rank order; it
/// must outlive the result.
GatheredSequences gathered_sequences(const std::vector<OwnedRows>& members, at::Device device);

/// [S] bool: the sequences without a value that is not finite, in any member's slice of the
/// gathered rows: a single key of that kind makes the attention of its whole sequence NaN. `rows`:
/// [gathered rows, this rank's channels]. Nothing comes to the host. Collective over `group`.
at::Tensor finite_sequences(const GatheredSequences& sequences, const at::Tensor& rows,
                            const Group& group);

}  // namespace actsweep
