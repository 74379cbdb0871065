// What a corpus consists of.
#pragma once

#include <cstdint>

namespace actsweep {

enum class CorpusKind { kText, kImages };

inline const char* name_of(CorpusKind kind) {
  return kind == CorpusKind::kText ? "text" : "images";
}

/// The class of register tokens in images; corpus.h says what the others are.
inline constexpr uint8_t kRegisterClass = 1;

}  // namespace actsweep
