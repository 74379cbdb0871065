// One member's writer of segments: its I/O thread, and when a segment is committed.
//
// In: files of segments, each with this member's rows. Every member writes a file of its own and
// commits it by itself, but for member 0: its file, which is the segment's commit, gets its name
// once all other members' have theirs. Nobody waits for the file of a segment until the next
// segment ends, so that a kill loses one finished segment at most. All HDF5 calls happen on the I/O
// thread, which makes no MPI call.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <vector>

#include "comm/group.h"
#include "output/io_thread.h"
#include "run/segment_output.h"

namespace actsweep {

class SegmentWriter {
 public:
  /// The group must outlive the writer.
  SegmentWriter(const Group& group, const SegmentFolder& folder);

  /// This member's file of a segment, whose rows lie at `place` in the sweep; those of several
  /// members lie between each other's.
  std::unique_ptr<SegmentOutput> begin_segment(int64_t number, const std::vector<Dataset>& datasets,
                                               const Extents& extents, const RowPlace& place = {});
  /// The file of a captured prompt, on member 0; null on others.
  std::unique_ptr<SegmentOutput> begin_prompt(int64_t number, const std::vector<Dataset>& datasets,
                                              const Extents& extents);

  /// Has writing failed on this member?
  bool failed() const { return io_.failed(); }
  /// Collective over the model group: commits the segments whose parts are by now. Waits for no
  /// file.
  void commit_ready();
  /// Collective over the model group, at a segment's end: queues its commit.
  void commit(std::unique_ptr<SegmentOutput> output, std::vector<RowCounts> of_microbatches);
  /// Collective over the model group: commits what is left and waits for it. An error on one member
  /// is an error on all.
  void finish();

 private:
  /// Collective over the model group: member 0's files of the segments whose parts are committed by
  /// now. They wait for nothing any more.
  std::vector<std::unique_ptr<SegmentOutput>> take_ready();

  const Group& group_;
  SegmentFolder folder_;
  int segments_ = 0;            // ended
  std::atomic<int> ready_ = 0;  // of them, those whose file here is: closed, or a part committed
  IoThread io_;
  std::deque<std::unique_ptr<SegmentOutput>> waiting_;  // for the parts, on member 0
};

}  // namespace actsweep
