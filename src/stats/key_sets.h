// Sets of keys: the tokens of a sequence to which attention is measured.
//
// In: the words of [statistics] attention. Out: a sequence's positions, rising; none where the set
// is empty there. "position:0"; "class:X:first", the first token of a class; "registers", all of an
// image's; "events", the tokens with an event in the input of the layer at hand; "from", those with
// an event in any layer of an earlier sweep.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "stats/gathered_sequences.h"

namespace actsweep {

/// Positions by the number of the sequence.
using PositionsBySequence = std::map<int64_t, std::vector<int64_t>>;

class KeySets {
 public:
  /// `from` are the positions of the set "from".
  KeySets(std::vector<std::string> names, PositionsBySequence from);

  size_t count() const { return names_.size(); }
  bool has_events() const;
  /// `is_event` marks the gathered rows with an event; null where no set asks for them.
  std::vector<int64_t> positions(size_t set, const GatheredSequence& sequence,
                                 const int64_t* is_event) const;

 private:
  std::vector<std::string> names_;
  PositionsBySequence from_;
};

}  // namespace actsweep
