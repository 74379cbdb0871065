// The sweep: from a job to a finished file, over the ranks of a world.
//
// Joins the stages: opens the inputs, plans, finds what is committed already, measures the rest,
// consolidates. A second run on a complete file does nothing; segments of another job are refused,
// naming the keys that differ.
#pragma once

#include "comm/session.h"
#include "job/job.h"
#include "output/segment_file.h"

namespace actsweep {

inline constexpr int kExitStopped = 75;

/// Collective over the world. Returns 0 where the file (or the shard's segments) are complete,
/// kExitStopped after a stop. `on_step` is called with the words of each step: "weights: stage 2
/// loaded" and "consolidation: created" on all ranks, "segment 3: layer 2" on those of its group,
/// "segment 3: renamed" on the one that writes.
int run_sweep(const Job& job, const MpiSession& session, const StepHook& on_step = {});

}  // namespace actsweep
