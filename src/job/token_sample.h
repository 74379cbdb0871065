// The words by which a job says whose activations it stores: "all", "random:0.1", "events".
//
// A random token follows from its number and a seed alone: who computes it has no part in it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "job/job.h"

namespace actsweep {

struct TokenSample {
  enum class Kind { kNone, kAll, kRandom, kEvents };
  Kind kind = Kind::kNone;
  double ratio = 1;   // of kRandom: of all tokens, above 0, up to 1
  uint64_t seed = 0;  // of kRandom

  /// Whether its tokens are known before the sweep.
  bool is_known() const { return kind != Kind::kEvents; }
  /// Whether a token is in it, by its number among the tokens measured; not asked of kEvents.
  bool has(int64_t token) const;
  /// How many of the tokens [begin, end) are; not asked of kEvents.
  int64_t count(int64_t begin, int64_t end) const;
  /// How many of so many tokens, on average; of kEvents none, as far as is known.
  int64_t expected(int64_t tokens) const;
};

/// Nothing where the text is no sample. The seed is 0.
std::optional<TokenSample> parse_sample(const std::string& text);
/// Every sample but random ones.
std::vector<std::string> sample_words();
/// Of checked keys; kNone where nothing is stored.
TokenSample sample_of(const Job::Store& store);

}  // namespace actsweep
