// Aligned columns for the terminal, and numbers as people read them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace actsweep {

enum class Align { kLeft, kRight };

struct TableColumn {
  std::string title;
  Align align = Align::kRight;
};

/// Titles, then rows of as many cells, each column as wide as its widest cell (in UTF-8
/// characters).
std::string format_table(const std::vector<TableColumn>& columns,
                         const std::vector<std::vector<std::string>>& rows);

/// 1048576 -> "1,048,576".
std::string grouped(int64_t number);
/// A real number with about four digits: "24,312", "163.5", "0.7129"; "nan" and "inf" as they are.
std::string readable(double number);
/// Bytes of a token in quotes; control characters, quotes and bytes that are not UTF-8 as escapes.
std::string quoted(const std::string& bytes);

}  // namespace actsweep
