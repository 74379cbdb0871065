// The layout of a sweep: rank grid, threads, block size - chosen and proven to fit before anything
// runs.
//
// In: the facts and what the machine gives. Out: a Layout, or an Error (ErrorKind::kJob) that says
// what is too large and which change of the job would fit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/costs.h"
#include "plan/demand.h"
#include "plan/machine.h"

namespace actsweep {

struct SweepLayout {
  int64_t ranks = 1;
  int64_t members = 1;   // m, ranks in a model group
  int64_t replicas = 1;  // R
  int64_t threads = 1;
  int64_t block_windows = 1;
  MemoryDemand memory;
  DiskDemand disk;
  SweepCosts costs;    // none: unknown
  double seconds = 0;  // their sum; 0: unknown
  std::vector<std::string> warnings;
};

/// Refuses a world that is no multiple of the model group, and a job that cannot fit.
SweepLayout plan_layout(const SweepFacts& facts, const Machine& machine);

/// The largest block that fits, whole micro-batches, at most a segment; 0 where not even one
/// micro-batch does.
int64_t largest_block(const SweepFacts& facts, const Machine& machine, int64_t members);

std::string table_row(const std::string& name, const std::string& value);
/// "about 3 min", "unknown" of 0; and to three digits, "1.25 s".
std::string time_text(double seconds);
std::string exact_time(double seconds);

/// The table that `plan` and `run` print.
std::string layout_table(const SweepFacts& facts, const Machine& machine,
                         const SweepLayout& layout);

}  // namespace actsweep
