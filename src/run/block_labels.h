// The labels of one block: what each rank owns of each micro-batch, and how many rows that makes.
#pragma once

#include <cstdint>
#include <vector>

#include "corpus/segments.h"
#include "run/inputs.h"

namespace actsweep {

/// Real tokens and sequences that one rank owns of one micro-batch.
struct OwnedCounts {
  int64_t tokens = 0;
  int64_t sequences = 0;
};

struct BlockLabels {
  std::vector<OwnedRows> own;                    // [micro-batch] of this rank
  std::vector<std::vector<OwnedCounts>> counts;  // [micro-batch][member]
  /// [micro-batch][member] of all members, where a statistic takes the gathered rows.
  std::vector<std::vector<OwnedRows>> members;
  int64_t first_token = 0;  // in the part of the file that the block belongs to
  int64_t first_sequence = 0;
  int64_t tokens = 0;  // of all members
  int64_t sequences = 0;
  int64_t longest = 0;  // of the padded lengths

  /// Rows of the residual stream on this rank, with padding.
  int64_t row_count() const;
  /// The row of the residual stream with which a micro-batch begins.
  int64_t first_row(size_t batch) const;
};

/// The labels of a block of windows inside the segment that begins with window `segment_begin`.
BlockLabels label_block(const SweepInputs& inputs, WindowRange block, int64_t segment_begin,
                        int64_t members, int64_t member);

/// A block of one sequence: a captured prompt, owned by member 0.
BlockLabels label_prompt(const SweepInputs& inputs, const Prompt& prompt, int64_t members,
                         int64_t member);

}  // namespace actsweep
