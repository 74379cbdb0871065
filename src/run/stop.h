// Stopping early: a signal sets a flag; the model group decides together whether the segment can be
// finished in time. A group whose ranks got no signal is told by one whose did.
//
// SIGUSR1 (ahead of a batch system's time limit): the deadline is SLURM_JOB_END_TIME where set.
// SIGTERM: 20 s from its arrival. Collective calls are made by all members after every layer.
#pragma once

#include <optional>

#include "comm/group.h"

namespace actsweep {

/// From now on SIGTERM and SIGUSR1 ask for a stop instead of ending the process.
void catch_stop_signals();

/// Seconds from a stop that this process was asked for to its deadline; nothing where it was not.
std::optional<double> signalled_stop_s();

enum class Verdict {
  kGoOn,
  kFinishSegment,  // a stop was asked for; the segment can be finished before the deadline
  kDropSegment,    // a stop was asked for, and it cannot
  kFailed,         // writing failed on a member
};

class StopWatch {
 public:
  /// What a member knows.
  struct Knowledge {
    bool has_failed = false;            // its output
    double segment_left_s = 0;          // member 0's estimate; negative while unknown
    std::optional<double> told_s = {};  // seconds to the deadline of which another group tells
  };

  /// Collective over `group`.
  Verdict after_layer(const Group& group, const Knowledge& mine);
  /// Seconds to the deadline, as member 0 has it; nothing where no stop was asked for.
  std::optional<double> left_s() const;

 private:
  void begin(const Group& group, const Knowledge& mine);

  double deadline_s_ = 0;  // on the steady clock; member 0 keeps it from when it learns of the stop
  bool is_asked_ = false;
};

}  // namespace actsweep
