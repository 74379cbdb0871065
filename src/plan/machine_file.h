// Machines as files: jobs/machines/NAME.toml.
//
// In: a file's path, or the name of one that is installed with the program. Out: a machine of as
// many ranks as asked for, or as the file has. Refuses (kJob) names that are not there, with those
// that are; keys that are unknown or missing, wrong types, and numbers that are not above 0.
#pragma once

#include <optional>
#include <string>

#include "job/job.h"
#include "plan/machine.h"

namespace actsweep {

/// `folder` has the installed ones.
Machine read_machine(const std::string& name, const std::string& folder, Dtype dtype,
                     std::optional<int64_t> ranks);

/// The folder of installed machines of a program at `program`: beside the sources of a build, or in
/// share/actsweep of an installed one.
std::string machine_folder(const std::string& program);

}  // namespace actsweep
