// What a job takes from the sweep file of an earlier run.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "stats/key_sets.h"

namespace actsweep {

/// The tokens with an event in any layer of a sweep file. Refuses (kJob) a file that is not of the
/// corpus and windows of `identity`, naming the keys that differ.
PositionsBySequence positions_with_events(const std::string& path, const nlohmann::json& identity);
/// What stands for the file's content in an identity: a digest of the file's own.
std::string fingerprint_of_sweep(const std::string& path);

}  // namespace actsweep
