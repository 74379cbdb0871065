// The sweep file of an earlier run, from which a job takes something.
//
// Refuses (ErrorKind::kJob) what is no complete sweep file or does not fit. `key`: the key of the
// job that names the file, for messages.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/h5.h"
#include "stats/key_sets.h"

namespace actsweep {

H5File open_earlier_sweep(const std::string& key, const std::string& path);
/// A column of whole numbers of its /massive, one an event.
std::vector<int64_t> event_column(const std::string& key, const H5File& file,
                                  const std::string& name);
/// What stands for the file's content in an identity, wherever the file lies.
std::string content_fingerprint(const H5File& file);

/// The tokens with an event in any layer.
struct EarlierEvents {
  PositionsBySequence positions;
  std::string fingerprint;  // of the file's content; empty without a file
};

/// Refuses a file that is not of the corpus and windows of `identity`, naming the key that differs.
EarlierEvents read_earlier_events(const std::string& path, const nlohmann::json& identity);

}  // namespace actsweep
