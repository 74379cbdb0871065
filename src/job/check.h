// What is wrong with the value of one key, and which known name an unknown one may mean.
//
// In: a row of the list of keys and a value as JSON, where null stands for a date or time of TOML,
// which no key takes. Out: phrases for the message of load_job.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "job/keys.h"

namespace actsweep {

/// The values that a key takes: "an integer from 1 to 64".
std::string expected_of(const JobKey& key);

/// A value with its type in TOML's words: "a string (\"x\")".
std::string found_of(const nlohmann::json& value);

/// Everything that is wrong with the value; empty where it fits.
std::vector<std::string> problems_of(const JobKey& key, const nlohmann::json& value);

/// The known section that is nearest by edit distance, in its brackets: "[parallel]",
/// "[[intervention]]".
std::string nearest_section(const std::string& section);

/// The known key that is nearest by edit distance, keys of the same section first: "\"top_k\"" or,
/// from elsewhere,
/// "\"top_k\" of [statistics]".
std::string nearest_key(const std::string& section, const std::string& name);

}  // namespace actsweep
