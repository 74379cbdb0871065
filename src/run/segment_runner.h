// One segment, or one captured prompt: from its windows to its committed file.
//
// Every method is collective over the model group; each member writes the rows that it owns. A
// segment that a stop cuts short leaves nothing behind.
#pragma once

#include <string>
#include <vector>

#include "comm/group.h"
#include "comm/heartbeat.h"
#include "run/block_pass.h"
#include "run/measurements.h"
#include "run/progress.h"
#include "run/row_collector.h"
#include "run/segment_writer.h"
#include "run/stop.h"
#include "run/stored_rows.h"
#include "run/unit_queue.h"

namespace actsweep {

class SegmentRunner {
 public:
  struct Environment {
    const SweepInputs& inputs;
    const SweepLayout& layout;
    const Group& group;
    SegmentWriter& writer;
    StepHook on_step;
    Progress& progress;
    Heartbeat& heartbeat;
    UnitQueue& queue;
  };

  SegmentRunner(const Environment& environment, BlockPass& pass, at::Device device);

  /// Measures segment `number` and queues its commit. kGoOn or kFinishSegment where it was done,
  /// else why it was not.
  Verdict run_segment(int64_t number);
  /// Runs a prompt and queues the part that holds its residual stream, under `number`.
  Verdict run_prompt(const std::string& name, int64_t number);

 private:
  /// Of a segment, on their way to its file.
  struct Rows {
    RowCollector& collected;
    StoredRows* stored;  // null: the job has no store
  };

  bool pass_block(const BlockLabels& labels, bool ends_unit,
                  const std::vector<Stream::Listeners>& streams,
                  const std::function<bool(int64_t layer)>& after_layer);
  bool measure_block(const BlockLabels& labels, const Rows& rows, bool ends_unit);
  bool end_layer(int64_t layer, const BlockLabels& labels, RowCollector& rows);
  void write_fields();
  void write_events(int64_t first_window, std::vector<RowCounts>& counts);
  Extents extents_of(const RowCounts& owned) const;
  RowPlace place_of(WindowRange windows) const;
  bool goes_on();

  Environment environment_;
  BlockPass& pass_;
  Measurements measurements_;
  std::unique_ptr<SegmentOutput> output_;  // null where a captured prompt runs, but on member 0
  std::vector<Event> events_;              // of the segment
  StepHook on_step_;                       // of the segment
  StopWatch stop_;
  Verdict verdict_ = Verdict::kGoOn;
  int64_t token_layers_left_ = 0;  // of the segment
};

}  // namespace actsweep
