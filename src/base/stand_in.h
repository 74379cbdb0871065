// What lies in a file's place where a download or a clone went wrong: told by the first bytes.
#pragma once

#include <string>

namespace actsweep {

/// What the file is instead of JSON, with the cure: a Git LFS pointer, an HTML page; empty where
/// it is neither, or cannot be read.
std::string stand_in_for_json(const std::string& path);

/// What the file is instead of safetensors, with the cure: those, another format, a line of text.
std::string stand_in_for_safetensors(const std::string& path);

}  // namespace actsweep
