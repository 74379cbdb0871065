// Whether a path can become a sweep file, before anything is measured for it.
//
// In: the path of a job or a command line. Out: where the file will lie, its links followed.
// Refuses (ErrorKind::kOutput) paths that no file can have, or that nobody may write to, in words.
#pragma once

#include <string>

namespace actsweep {

/// The folder of a sweep file's segments and of its lock.
std::string segment_folder(const std::string& output_path);

/// The path behind links, of which the last may point to nothing yet: segments, lock and file lie
/// beside its target. Refuses folders, devices, and names that are too long with what is added to
/// them. Creates nothing.
std::string resolve_output(const std::string& path);

/// Refuses a place in which no file can be created. Creates nothing.
void check_writable(const std::string& path);

}  // namespace actsweep
