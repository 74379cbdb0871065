// The labels of one block: what this rank owns of each micro-batch, and where it lies in the rank's
// file of the segment.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "corpus/segments.h"
#include "output/row_counts.h"
#include "run/inputs.h"
#include "schema/event.h"

namespace actsweep {

struct BlockLabels {
  std::vector<OwnedRows> own;  // [micro-batch] of this rank
  /// [micro-batch][member] of all members, where a statistic takes the gathered rows.
  std::vector<std::vector<OwnedRows>> members;
  RowCounts before;     // of this rank, as owned_counts has them: what its file holds of earlier
  RowCounts owned;      // blocks, and what this one adds
  int64_t tokens = 0;   // of all members
  int64_t longest = 0;  // of the padded lengths

  /// Rows of the residual stream on this rank, with padding.
  int64_t row_count() const;
  /// The row of the residual stream with which a micro-batch begins.
  int64_t first_row(size_t batch) const;
};

/// The rank's own tokens of a block that have an event, numbered from its first, rising.
std::vector<int64_t> tokens_with_event(const BlockLabels& labels, std::span<const Event> events);

/// Real tokens, sequences and, as far as they are known before the sweep, stored rows that a rank
/// owns, [micro-batch of the range].
std::vector<RowCounts> owned_counts(const SweepInputs& inputs, WindowRange range, int64_t members,
                                    int64_t member);

/// The labels of a block of windows inside the segment that begins with window `segment_begin`.
BlockLabels label_block(const SweepInputs& inputs, WindowRange block, int64_t segment_begin,
                        int64_t members, int64_t member);

/// A block of one sequence: a captured prompt, owned by member 0.
BlockLabels label_prompt(const SweepInputs& inputs, const Prompt& prompt, int64_t member);

}  // namespace actsweep
