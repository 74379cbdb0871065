// `actsweep plan`: what `run` would do, without doing it.
#pragma once

#include <optional>
#include <string>

#include "job/job.h"

namespace actsweep {

struct PlanRequest {
  std::optional<int64_t> ranks;      // those of the machine's file where not given
  std::string machine;               // a file or an installed name; empty: this machine
  std::optional<double> memory_gib;  // per rank; this machine's share where not given
  int64_t tokens = 1 << 20;          // where there is no corpus
};

/// The table of layout, bytes by purpose, disk and time; an Error where the job cannot fit.
std::string plan_table(const Job& job, const PlanRequest& request);

/// The same of a config.json alone: a sweep of the request's tokens by a job without a file.
std::string config_plan_table(const std::string& config, const Job& job,
                              const PlanRequest& request);

/// A job that declares every dataset there is.
Job schema_job();

}  // namespace actsweep
