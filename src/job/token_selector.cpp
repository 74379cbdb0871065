#include "job/token_selector.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "base/error.h"

namespace actsweep {
namespace {

constexpr std::array<std::string_view, 3> kFirstOfClass = {
    "class:delimiter:first", "class:weak_semantic:first", "class:other:first"};  // classes 1 to 3
constexpr std::string_view kPosition = "position:";

std::optional<int64_t> parse_position(std::string_view digits) {
  int64_t position = 0;
  const char* end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, position);
  if (read.ec != std::errc() || read.ptr != end || position < 0) return std::nullopt;
  return position;
}

}  // namespace

bool TokenSelector::matches(int64_t position_of_token, uint8_t class_of_token) const {
  switch (kind) {
    case Kind::kPosition:
      return position_of_token == position;
    case Kind::kFirstOfClass:
      return class_of_token == token_class;
    case Kind::kRegisters:
      return class_of_token == kRegisterClass;
    case Kind::kAll:
      return true;
    case Kind::kArgmax:
      break;
  }
  ensure(false, "a token is not the largest by its place and class");
  return false;
}

std::optional<TokenSelector> parse_tokens(const std::string& text) {
  using Kind = TokenSelector::Kind;
  if (text == "argmax") return TokenSelector{Kind::kArgmax};
  if (text == "registers") return TokenSelector{Kind::kRegisters};
  if (text == "all") return TokenSelector{Kind::kAll};
  const auto of_class = std::find(kFirstOfClass.begin(), kFirstOfClass.end(), text);
  if (of_class != kFirstOfClass.end()) {
    const auto token_class = static_cast<uint8_t>(of_class - kFirstOfClass.begin() + 1);
    return TokenSelector{Kind::kFirstOfClass, 0, token_class};
  }
  if (!text.starts_with(kPosition)) return std::nullopt;
  const auto position = parse_position(std::string_view(text).substr(kPosition.size()));
  if (!position) return std::nullopt;
  return TokenSelector{Kind::kPosition, *position};
}

std::vector<std::string> token_words() {
  std::vector<std::string> words = {"argmax"};
  words.insert(words.end(), kFirstOfClass.begin(), kFirstOfClass.end());
  words.insert(words.end(), {"registers", "all"});
  return words;
}

}  // namespace actsweep
