// A rank's place in the world, and who watches it.
#pragma once

#include <ATen/core/Tensor.h>

#include "comm/heartbeat.h"
#include "comm/placement.h"
#include "comm/session.h"
#include "comm/watchdog.h"
#include "job/job.h"

namespace actsweep {

struct Place {
  const MpiSession& session;
  at::Device device = at::kCPU;
  int64_t threads = 1;
  int number = 0;         // of the rank in the order of nodes, from which model groups are cut
  bool is_mixed = false;  // the ranks of different model groups differ
};

/// Collective over the world: chooses this rank's device and threads, and agrees with all others
/// that they may compute together. Logs what is odd.
Place find_place(const Job& job, const MpiSession& session);

/// What a rank's watchdog calls it.
Watchdog::Rank watched_rank(const Place& place);

}  // namespace actsweep
