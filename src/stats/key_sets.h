// Sets of keys: the tokens of a sequence to which attention is measured.
//
// In: the words of [statistics] attention. Out: a sequence's positions, rising; none where the set
// is empty there. A token selector of the job; "events", the tokens with an event in the input of
// the layer at hand; "from", those with an event in any layer of an earlier sweep; "learned", a
// sink of the model's own: a token at position 0, or a slot of each query's softmax, which has no
// position.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "job/token_selector.h"
#include "stats/gathered_sequences.h"

namespace actsweep {

/// Positions by the number of the sequence.
using PositionsBySequence = std::map<int64_t, std::vector<int64_t>>;

class KeySets {
 public:
  /// `from` are the positions of the set "from"; `has_sink_token`: what the model has learned is a
  /// token.
  KeySets(const std::vector<std::string>& names, PositionsBySequence from, bool has_sink_token);

  size_t count() const { return sets_.size(); }
  bool has_events() const;
  /// Whether a set is "events", which differs from layer to layer.
  bool is_events(size_t number) const;
  /// The set of the slot that a model has learned, where the job names it.
  std::optional<size_t> learned_slot() const;
  /// None of a sequence without tokens. `is_event` marks the gathered rows with an event; null
  /// where no set asks for them.
  std::vector<int64_t> positions(size_t number, const GatheredSequence& sequence,
                                 const int64_t* is_event) const;

 private:
  enum class Source { kEvents, kEarlier, kLearned };
  struct Set {
    std::optional<TokenSelector> selector;  // else the source says
    Source source;
  };

  std::vector<Set> sets_;
  PositionsBySequence from_;
};

}  // namespace actsweep
