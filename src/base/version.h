// What this program is, for `--version` and the sweep file's root attributes. Only version.cpp, which
// CMake makes (cmake/Version.cmake), is compiled anew for each commit.
#pragma once

namespace actsweep {
extern const char* const kVersion;
extern const char* const kGitCommit;
}  // namespace actsweep
