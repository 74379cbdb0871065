// JSON as Python's `json` reads it, because that is what the files of checkpoints are written for.
//
// In: a file or a text. Out: a value. `NaN`, `Infinity` and `-Infinity` are numbers; of an object's
// equal keys the last one counts; whole numbers beyond 64 bits become floating-point ones; half of
// a surrogate pair becomes U+FFFD; a byte order mark at the beginning is dropped. Refuses anything
// else that is not JSON, naming line and column: invalid UTF-8, more than 1,000 levels, more than
// 4,300 digits.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

#include "base/error.h"

namespace actsweep {

/// The value of a file; an Error of `kind` names the file, and line and column or the system's
/// reason. Of `wanted` the message says what it is where there is no such file.
nlohmann::json read_json_file(const std::string& path, ErrorKind kind,
                              const std::string& wanted = "");

/// The value of a text; `name` is what messages call it.
nlohmann::json parse_json(std::string_view text, const std::string& name, ErrorKind kind);

}  // namespace actsweep
