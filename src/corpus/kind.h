// What a corpus consists of.
#pragma once

#include <cstdint>

namespace actsweep {

enum class CorpusKind { kText, kImages };

/// Whose words a token of a chat holds: 0 the template's, 1 system, 2 user, 3 assistant, 4 tool.
inline constexpr int64_t kRoles = 5;

inline const char* name_of(CorpusKind kind) {
  return kind == CorpusKind::kText ? "text" : "images";
}

}  // namespace actsweep
