// The labels of one block: what this rank owns of each micro-batch, and where it lies in the rank's
// file of the segment.
#pragma once

#include <cstdint>
#include <vector>

#include "corpus/segments.h"
#include "output/row_counts.h"
#include "run/inputs.h"

namespace actsweep {

struct BlockLabels {
  std::vector<OwnedRows> own;  // [micro-batch] of this rank
  /// [micro-batch][member] of all members, where a statistic takes the gathered rows.
  std::vector<std::vector<OwnedRows>> members;
  RowCounts before;     // tokens and sequences of this rank that its file holds of earlier blocks
  RowCounts owned;      // real tokens and sequences of this rank
  int64_t tokens = 0;   // of all members
  int64_t longest = 0;  // of the padded lengths

  /// Rows of the residual stream on this rank, with padding.
  int64_t row_count() const;
  /// The row of the residual stream with which a micro-batch begins.
  int64_t first_row(size_t batch) const;
};

/// Real tokens and sequences that a rank owns, [micro-batch of the range].
std::vector<RowCounts> owned_counts(const SweepInputs& inputs, WindowRange range, int64_t members,
                                    int64_t member);

/// The labels of a block of windows inside the segment that begins with window `segment_begin`.
BlockLabels label_block(const SweepInputs& inputs, WindowRange block, int64_t segment_begin,
                        int64_t members, int64_t member);

/// A block of one sequence: a captured prompt, owned by member 0.
BlockLabels label_prompt(const SweepInputs& inputs, const Prompt& prompt, int64_t member);

}  // namespace actsweep
