// `actsweep plan`: what `run` would do, without doing it.
#pragma once

#include <optional>
#include <string>

#include "job/job.h"

namespace actsweep {

struct PlanRequest {
  int64_t ranks = 1;
  std::optional<double> memory_gib;  // per rank; this machine's share where not given
};

/// The table of layout, bytes by purpose, disk and time; an Error where the job cannot fit.
std::string plan_table(const Job& job, const PlanRequest& request);

/// A job that declares every dataset there is.
Job schema_job();

}  // namespace actsweep
