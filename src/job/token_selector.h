// The words by which a job selects tokens of each sequence: "position:3", "argmax", "all", ...
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace actsweep {

/// The class of register tokens in images; corpus.h says what the others are.
inline constexpr uint8_t kRegisterClass = 1;

struct TokenSelector {
  enum class Kind { kPosition, kArgmax, kFirstOfClass, kRegisters, kAll };
  Kind kind = Kind::kAll;
  int64_t position = 0;     // of kPosition
  uint8_t token_class = 0;  // of kFirstOfClass

  /// Whether a token matches by its place and class alone; not asked of kArgmax.
  bool matches(int64_t position_of_token, uint8_t class_of_token) const;
  /// Whether the first match of a sequence is its only one.
  bool is_single() const { return kind != Kind::kRegisters && kind != Kind::kAll; }
};

/// Nothing where the text is no selector.
std::optional<TokenSelector> parse_tokens(const std::string& text);
/// Every selector but those of a position.
std::vector<std::string> token_words();

}  // namespace actsweep
