// Whether a launcher has bound the ranks of a node to fewer cores than it could have given them.
//
// Open MPI binds each rank of one or two to a single core: a sweep then runs on a fraction of the
// node. In: what the system says of this process and of those above it. Out: one warning, or none.
#pragma once

#include <mpi.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "comm/launch.h"

namespace actsweep {

/// "0-3,8" as in /proc/PID/status.
std::set<int> parse_cores(const std::string& list);

/// The cores that the launcher of process `pid` may use itself: the nearest process above that is
/// no rank. Nothing where there is no launcher, or the system does not say. `root` is "" but in
/// tests.
std::optional<std::set<int>> cores_of_launcher(pid_t pid, const std::string& root = "");

/// The cores of this node that a job of Slurm has; nothing outside of a job.
std::optional<int64_t> cores_of_job(const Environment& variable);

/// Collective over `communicator`. What to say of the node with the smallest share of its cores in
/// use, the same on every rank; empty where all are, or where `threads`, the job's own choice for
/// each rank, fit into those that a rank is bound to.
std::string binding_warning(MPI_Comm communicator, std::optional<int64_t> threads);

}  // namespace actsweep
