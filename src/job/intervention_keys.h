// The keys of an [[intervention]] table, and what its keys may not say together.
//
// In: values that were checked key by key. Out: rows as of job/keys.h, and phrases for the message
// of load_job. A row's access is to the last intervention of a job.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "job/keys.h"

namespace actsweep {

inline constexpr const char* kInterventionSection = "intervention";

/// All keys of a table, in the order in which to_toml writes them.
const std::vector<JobKey>& intervention_keys();

/// Keys of a table that do not go together: the key at fault, and why. `given` are the names of
/// the keys that the table has; `compares` says whether the job has what variants are compared by.
std::vector<std::pair<std::string, std::string>> conflicts_of(const Job::Intervention& intervention,
                                                              const std::set<std::string>& given,
                                                              bool compares);

}  // namespace actsweep
