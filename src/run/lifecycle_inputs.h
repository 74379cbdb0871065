// The channels whose lifecycles a job asks for: those that it names, and those of an earlier
// sweep's events.
//
// Refuses (ErrorKind::kJob) a sweep file of another model or without events, channels that the
// model lacks, and keys that do not go together.
#pragma once

#include <string>

#include "checkpoint/architecture.h"
#include "job/job.h"

namespace actsweep {

/// Makes `lifecycle_channels` all of them, in rising order. Returns the model_fingerprint of the
/// sweep in `lifecycle_from`; empty without one.
std::string resolve_lifecycle_channels(Job& job);

/// Of a job whose channels are resolved.
void check_lifecycle(const Job& job, const Architecture& architecture);

/// Refuses an earlier sweep of another model.
void check_lifecycle_model(const Job& job, const std::string& earlier_fingerprint,
                           const std::string& model_fingerprint);

}  // namespace actsweep
