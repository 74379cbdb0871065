#include "output/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace actsweep {
namespace {

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

size_t width_of(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !continues_character(c); }));
}

std::string padded(const std::string& text, size_t width, Align align) {
  const std::string space(width - width_of(text), ' ');
  return align == Align::kRight ? space + text : text + space;
}

/// The bytes of the UTF-8 character that begins here, or 0 where there is none.
size_t character_length(const std::string& bytes, size_t begin) {
  const auto first = static_cast<unsigned char>(bytes[begin]);
  const size_t length = first < 0x80                     ? 1
                        : first >= 0xC2 && first <= 0xDF ? 2
                        : first >= 0xE0 && first <= 0xEF ? 3
                        : first >= 0xF0 && first <= 0xF4 ? 4
                                                         : 0;
  if (length == 0 || begin + length > bytes.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if (!continues_character(bytes[begin + i])) return 0;
  }
  return length;
}

}  // namespace

std::string format_table(const std::vector<TableColumn>& columns,
                         const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns.size(); ++i) {
    widths.push_back(width_of(columns[i].title));
    for (const auto& row : rows) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string text;
  const auto add_line = [&](const auto& cell_of) {
    std::string line;
    for (size_t i = 0; i < columns.size(); ++i) {
      line += (i == 0 ? "" : "  ") + padded(cell_of(i), widths[i], columns[i].align);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  };
  add_line([&](size_t i) { return columns[i].title; });
  for (const auto& row : rows) add_line([&](size_t i) { return row[i]; });
  return text;
}

std::string grouped(int64_t number) {
  std::string digits = fmt::format("{}", number);
  const int64_t first = number < 0 ? 1 : 0;
  for (auto at = static_cast<int64_t>(digits.size()) - 3; at > first; at -= 3) {
    digits.insert(static_cast<size_t>(at), 1, ',');
  }
  return digits;
}

std::string readable(double number) {
  if (std::isnan(number)) return "nan";  // of either sign
  if (std::isfinite(number) && std::abs(number) >= 1000) {
    return std::abs(number) < 1e15 ? grouped(std::llround(number)) : fmt::format("{:.3e}", number);
  }
  return fmt::format("{:.4g}", number);
}

std::string quoted(const std::string& bytes) {
  std::string text = "\"";
  for (size_t i = 0; i < bytes.size();) {
    const size_t length = character_length(bytes, i);
    const char c = bytes[i];
    if (length > 1) {
      text += bytes.substr(i, length);
    } else if (c == '\n') {
      text += "\\n";
    } else if (c == '\t') {
      text += "\\t";
    } else if (c == '"' || c == '\\') {
      text += {'\\', c};
    } else if (length == 1 && c >= ' ' && c < '\x7f') {
      text += c;
    } else {
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
    i += std::max<size_t>(length, 1);
  }
  return text + "\"";
}

}  // namespace actsweep
