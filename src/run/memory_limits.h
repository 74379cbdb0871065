// How much memory there is for the ranks of a node: what the system has, what control groups, a
// batch system and the process' own limits leave of it.
//
// In: the system's files below `root` ("" but in tests), the environment. Out: bytes. Control
// groups are read in version 1 and 2, at every level from the process' own up to the mount,
// wherever the hierarchy is mounted and whatever part of it. What a level's usage could give back,
// pages of files, counts as free. Nothing here fails: what cannot be read limits nothing.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "comm/launch.h"

namespace actsweep {

inline constexpr int64_t kUnlimited_bytes = std::numeric_limits<int64_t>::max();

/// What is left for the processes of this node together, now: the least of what the system calls
/// available and of what each control group leaves.
int64_t left_on_node_bytes(const std::string& root = "");

/// What Slurm gives a job on this node; unlimited outside of a job, and where it gives all.
int64_t slurm_bytes(const Environment& variable);

/// What the limits of this process (ulimit -v, -d) leave it.
int64_t left_to_process_bytes();

/// What the process holds now, pages of files left out.
int64_t held_bytes(const std::string& root = "");

}  // namespace actsweep
