// What a corpus consists of.
#pragma once

namespace actsweep {

enum class CorpusKind { kText, kImages };

inline const char* name_of(CorpusKind kind) {
  return kind == CorpusKind::kText ? "text" : "images";
}

}  // namespace actsweep
