// The list of the keys of a job file's sections: one row a key. Those of its [[intervention]]
// tables stand in intervention_keys.h.
//
// Parsing, validation, suggestions, overrides, writing, the identity and the documentation loop
// over this list. A new key is a member of `Job` and a row here. Values travel as JSON between the
// TOML text and the members of a `Job`.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "job/job.h"

namespace actsweep {

enum class ValueKind {
  kText,     // a string that is not empty
  kTexts,    // such a string, or a list of different ones
  kWord,     // one of `words`
  kShard,    // "i/n"
  kInteger,  // least ... most
  kNumber,   // finite and positive; an integer is taken too
  kFlag,
  kWords,           // a list of different `words`
  kNames,           // a list of different names of [A-Za-z0-9_-]
  kName,            // of [A-Za-z0-9_-]
  kReal,            // finite in float32; an integer is taken too
  kIntegerOrWord,   // of at least `least`, or one of `words`
  kIntegersOrWord,  // a list of different integers of at least `least`, or one of `words`
  kIntegers,        // such a list alone; it may be empty
  kTokens,          // "position:N", or one of `words`
  kSample,          // "random:P" with 0 < P <= 1, or one of `words`
};

/// How the value of one key gets into a `Job` and out of it.
struct KeyAccess {
  std::function<nlohmann::json(const Job&)> get;         // null where the key has no value
  std::function<void(Job&, const nlohmann::json&)> set;  // of a value that was checked
};

struct JobKey {
  std::string section;
  std::string name;
  ValueKind kind = ValueKind::kText;
  KeyAccess access;  // its value in Job{} is the default
  bool is_required = false;
  std::vector<std::string> instead = {};  // of a required key: those that may stand in its place
  bool in_identity = false;               // its value can change a number in the sweep file
  std::vector<std::string> words = {};    // of kWord and kWords
  int64_t least = 1;                      // of integers
  int64_t most = std::numeric_limits<int64_t>::max();
  std::string meaning;
  std::string without = {};  // what stands in the place of a value, where the default is none
  std::string reason = {};   // told with a refusal
};

/// Beyond these no machine follows, and sums of bytes would overflow.
inline constexpr int64_t kMostThreads = 1024;
inline constexpr int64_t kMostRanks = 65'536;
inline constexpr int64_t kMostPatience_s = 1'000'000;
inline constexpr int64_t kLongestSequence = 16'777'216;
inline constexpr int64_t kMostTokens = 1'000'000'000;  // of a block, a micro-batch, a segment
inline constexpr int64_t kMostShards = 1'000'000;

/// All keys, section by section, in the order in which to_toml writes them.
const std::vector<JobKey>& job_keys();

/// "i/n" with 0 <= i < n <= kMostShards, or nothing.
std::optional<Job::Shard> parse_shard(const std::string& text);

}  // namespace actsweep
