// Whether a launcher and this program's MPI agree on how many ranks there are.
//
// A launcher that speaks to another MPI, or to none, starts N processes that each are a world of
// one rank: N runs of one sweep.
#pragma once

#include <functional>
#include <string>

namespace actsweep {

/// The value of an environment variable; empty where it is not set.
using Environment = std::function<std::string(const char* name)>;
std::string variable_of_process(const char* name);

/// What is wrong with a step of Slurm whose tasks have no way to each other: asked before MPI
/// starts, which would end the process in words of its own. Empty where nothing is.
std::string step_without_mpi(const Environment& variable);
/// What is wrong with a world of `ranks` ranks, and the cure; empty where nothing is.
std::string launch_mistake(int ranks, const Environment& variable);
/// Whether this process is the one of a launch that speaks for all of it.
bool is_first_process(const Environment& variable);

}  // namespace actsweep
