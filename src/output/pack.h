// A linked sweep file and the segments that hold its rows, made one file.
#pragma once

#include <string>

namespace actsweep {

/// Writes what a packed layout would have written: to `target`, or, where that is empty, in the
/// linked file's place, whose segments are then removed. Refuses (ErrorKind::kOutput) a file that
/// is not linked, one whose segments are not all there, and a target that exists.
void pack_file(const std::string& path, const std::string& target);

}  // namespace actsweep
