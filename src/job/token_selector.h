// The words by which a job selects tokens of each sequence: "position:3", "argmax", "all", ...
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace actsweep {

struct TokenSelector {
  enum class Kind { kPosition, kArgmax, kFirstOfClass, kRegisters, kAll };
  Kind kind = Kind::kAll;
  int64_t position = 0;     // of kPosition
  uint8_t token_class = 0;  // of kFirstOfClass
};

/// Nothing where the text is no selector.
std::optional<TokenSelector> parse_tokens(const std::string& text);
/// Every selector but those of a position.
std::vector<std::string> token_words();

}  // namespace actsweep
