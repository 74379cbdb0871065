// Segments, blocks and micro-batches: how windows become units of work. Pure arithmetic.
//
// A segment is a fixed run of whole micro-batches, the unit that is committed; a block is any
// number of its micro-batches, as memory allows; a micro-batch is the unit of arithmetic: its size
// comes from the job or a fixed default and never from the machine.
#pragma once

#include <cstdint>
#include <vector>

#include "corpus/window_plan.h"

namespace actsweep {

/// A half-open range of windows.
struct WindowRange {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

struct SegmentPlan {
  int64_t windows = 0;                 // of the sweep
  int64_t windows_per_microbatch = 1;  // a multiple of the model group
  int64_t windows_per_segment = 1;     // a multiple of windows_per_microbatch

  int64_t segments() const;
  WindowRange segment(int64_t number) const;
  /// The micro-batches of a range that starts with one.
  std::vector<WindowRange> microbatches(WindowRange range) const;
  /// A range cut into blocks of at most `block_windows` windows, whole micro-batches each (at least
  /// one).
  std::vector<WindowRange> blocks(WindowRange range, int64_t block_windows) const;
};

/// Tokens of a chunk of the sweep file: whole ones need not be joined of two segments' rows.
inline constexpr int64_t kSegmentUnit = 32 * 1024;

/// `members` is the size of a model group. Default segment: tokens / 64 in whole units, at most 1
/// Mi.
SegmentPlan plan_segments(const WindowPlan& windows, const Job& job, int64_t members);
/// The same of windows that are only counted.
SegmentPlan plan_segments(int64_t windows, int64_t tokens_in_all, const Job& job, int64_t members);

/// The windows of a micro-batch that rank `member` of `members` owns.
WindowRange owned_windows(WindowRange microbatch, int64_t members, int64_t member);

/// The labels of the rows that rank `member` of `members` owns in a micro-batch.
OwnedRows owned_rows(const WindowPlan& plan, const Corpus& corpus, WindowRange microbatch,
                     int64_t members, int64_t member);

/// The labels of a captured prompt, which is owned by member 0; the other members own a padding
/// sequence.
OwnedRows owned_prompt(const Corpus& corpus, const Prompt& prompt, int64_t member);

}  // namespace actsweep
