// The findings of a finished sweep file as tables for the terminal.
//
// In: a path, and how many channels, positions and tokens to name in a cell or table. Out: text.
// Refuses (ErrorKind::kOutput) whatever is not a finished sweep file.
#pragma once

#include <string>

namespace actsweep {

std::string show_file(const std::string& path, int top);

}  // namespace actsweep
