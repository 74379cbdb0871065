// What a model group does of a sweep: its units of work, measured and committed.
//
// In: what is pending, on all ranks alike. Out: segments on disk. An error that one rank meets
// alone ends the world at once, from where it is met: a device that has failed answers no
// destructor, and the end of the pass may wait for it.
#pragma once

#include <vector>

#include "run/inputs.h"
#include "run/output_claim.h"
#include "run/patience.h"
#include "run/place.h"
#include "run/segment_output.h"

namespace actsweep {

/// What every rank knows of the work.
struct GroupWork {
  const SweepInputs& inputs;
  const SweepLayout& layout;
  const Place& place;
  const Patience& patience;
  const SegmentFolder& folder;
  const OutputClaim& output;
  Heartbeat& heartbeat;
  Watchdog& watchdog;
};

/// Collective over the world: measures the pending units. Returns whether all were.
bool measure_pending(const GroupWork& work, const std::vector<int64_t>& pending);

/// Ends all ranks at once, without destructors, and gives the output up. Of an error of a device it
/// says at which step.
[[noreturn]] void end_world(const GroupWork& work, const std::string& message, int code);

}  // namespace actsweep
