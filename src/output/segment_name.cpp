#include "output/segment_name.h"

#include <fmt/format.h>

#include <charconv>
#include <string_view>

#include "output/process.h"

namespace actsweep {
namespace {

constexpr std::string_view kPart = ".part-";

/// The number at the beginning of the text, which it then lacks; nothing where there is none.
std::optional<int64_t> take_number(std::string_view& text) {
  int64_t number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc()) return std::nullopt;
  text.remove_prefix(read.ptr - text.data());
  return number;
}

bool take(std::string_view& text, std::string_view beginning) {
  if (!text.starts_with(beginning)) return false;
  text.remove_prefix(beginning.size());
  return true;
}

}  // namespace

std::string name_of(const SegmentPart& part) {
  return path_of_part(fmt::format("{}{:06}{}", kSegmentPrefix, part.number, kSegmentSuffix),
                      part.member);
}

std::string words_of(const SegmentPart& part) {
  const auto segment = fmt::format("segment {}", part.number);
  return part.member == 0 ? segment : fmt::format("{} part {}", segment, part.member);
}

std::string path_of_part(const std::string& segment, int64_t member) {
  return member == 0 ? segment : fmt::format("{}{}{}", segment, kPart, member);
}

int64_t members_of(const H5File& file) {
  return file.has_attribute("parts") ? file.read_int("parts") : 1;
}

std::optional<Leftover> leftover_of(const std::string& name) {
  std::string_view rest = name;
  if (!take(rest, kSegmentPrefix)) return std::nullopt;
  const auto number = take_number(rest);
  if (!number || !take(rest, kSegmentSuffix)) return std::nullopt;
  const auto segment = name.substr(0, name.size() - rest.size());
  const bool is_part = take(rest, kPart);
  if (is_part && !take_number(rest)) return std::nullopt;
  const auto whole = name.substr(0, name.size() - rest.size());
  if (is_partial_of(name, whole)) return Leftover{*number, ""};
  if (is_part && rest.empty()) return Leftover{*number, segment};
  return std::nullopt;
}

}  // namespace actsweep
