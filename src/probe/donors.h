// Where the activations of a shuffled token come from: the same place of another sequence of the
// micro-batch, for any number of ranks (docs/interventions.md).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "comm/group.h"
#include "corpus/window.h"
#include "probe/token_matches.h"

namespace actsweep {

/// The sequences of a micro-batch of all members, as they are before any is shuffled.
struct Donors {
  at::Tensor rows;              // [sequences * positions, channels] float32
  std::vector<int64_t> length;  // [sequences] the real ones, which stand first
  int64_t positions = 0;        // T, rows of a sequence
  int64_t first_own = 0;        // of the sequences, this rank's first

  /// The row from which a match has its activations; -1 where no other sequence is long enough.
  int64_t row_of(const TokenMatch& match, uint64_t seed) const;
};

/// Collective over the model group. `rows` [labels.row_count(), channels] float32, owned rows.
Donors gather_donors(const OwnedRows& labels, const at::Tensor& rows, const Group& group);

}  // namespace actsweep
