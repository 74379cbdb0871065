// The layout of a sweep: rank grid, threads, block size - chosen and proven to fit before anything
// runs.
//
// In: the facts and what the machine gives. Out: a Layout, or an Error (ErrorKind::kJob) that says
// what is too large and which change of the job would fit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/demand.h"

namespace actsweep {

struct Machine {
  int64_t ranks = 1;
  int64_t threads = 1;          // per rank
  int64_t memory_bytes = 0;     // per rank, for actsweep's own use
  double operations_per_s = 0;  // of a matrix product in the job's dtype, per rank; 0: unknown
  int64_t free_disk_bytes = 0;  // where the output goes
};

struct SweepLayout {
  int64_t ranks = 1;
  int64_t members = 1;   // m, ranks in a model group
  int64_t replicas = 1;  // R
  int64_t threads = 1;
  int64_t block_windows = 1;
  MemoryDemand memory;
  DiskDemand disk;
  double seconds = 0;  // 0: unknown
  std::vector<std::string> warnings;
};

/// Refuses a world that is no multiple of the model group, and a job that cannot fit.
SweepLayout plan_layout(const SweepFacts& facts, const Machine& machine);

/// The table that `plan` and `run` print.
std::string layout_table(const SweepFacts& facts, const Machine& machine,
                         const SweepLayout& layout);

}  // namespace actsweep
