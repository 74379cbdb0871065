#include "stats/key_sets.h"

#include <algorithm>

#include "base/error.h"

namespace actsweep {
namespace {

constexpr uint8_t kRegisterClass = 1;  // of image tokens

uint8_t class_of(const std::string& name) {
  if (name == "class:delimiter:first") return 1;
  if (name == "class:weak_semantic:first") return 2;
  ensure(name == "class:other:first", "a checked set of keys has its meaning");
  return 3;
}

}  // namespace

KeySets::KeySets(std::vector<std::string> names, PositionsBySequence from)
    : names_(std::move(names)), from_(std::move(from)) {}

bool KeySets::has_events() const {
  return std::find(names_.begin(), names_.end(), "events") != names_.end();
}

std::vector<int64_t> KeySets::positions(size_t set, const GatheredSequence& sequence,
                                        const int64_t* is_event) const {
  const auto& name = names_.at(set);
  if (sequence.length == 0) return {};
  if (name == "position:0") return {0};
  if (name == "from") {
    const auto found = from_.find(sequence.sequence);
    return found == from_.end() ? std::vector<int64_t>() : found->second;
  }
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < sequence.length; ++i) {
    if (name == "events") {
      if (is_event[sequence.first_row + i] != 0) positions.push_back(i);
    } else if (name == "registers") {
      if (sequence.token_class[i] == kRegisterClass) positions.push_back(i);
    } else if (sequence.token_class[i] == class_of(name)) {
      return {i};
    }
  }
  return positions;
}

}  // namespace actsweep
