// Stopping early: a signal sets a flag; the model group decides together whether the segment can be
// finished in time.
//
// SIGUSR1 (ahead of a batch system's time limit): the deadline is SLURM_JOB_END_TIME where set.
// SIGTERM: 20 s from its arrival. Collective calls are made by all members after every layer.
#pragma once

#include "comm/group.h"

namespace actsweep {

/// From now on SIGTERM and SIGUSR1 ask for a stop instead of ending the process.
void catch_stop_signals();

enum class Verdict {
  kGoOn,
  kFinishSegment,  // a stop was asked for; the segment can be finished before the deadline
  kDropSegment,    // a stop was asked for, and it cannot
  kFailed,         // writing failed on a member
};

class StopWatch {
 public:
  /// Collective over `group`. `failed`: this member's output has failed. `segment_left_s`: member
  /// 0's estimate of the time to the segment's end; negative while unknown.
  Verdict after_layer(const Group& group, bool failed, double segment_left_s);

 private:
  double deadline_s_ = 0;  // on the steady clock; member 0 keeps it from when it learns of the stop
  bool is_asked_ = false;
};

}  // namespace actsweep
