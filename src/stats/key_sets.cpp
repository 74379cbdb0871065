#include "stats/key_sets.h"

#include <algorithm>

namespace actsweep {

KeySets::KeySets(const std::vector<std::string>& names, PositionsBySequence from,
                 bool has_sink_token)
    : from_(std::move(from)) {
  for (const auto& name : names) {
    const bool is_learned = name == "learned";
    const auto source = is_learned         ? Source::kLearned
                        : name == "events" ? Source::kEvents
                                           : Source::kEarlier;
    sets_.push_back({parse_tokens(is_learned && has_sink_token ? "position:0" : name), source});
  }
}

std::optional<size_t> KeySets::learned_slot() const {
  for (size_t i = 0; i < sets_.size(); ++i) {
    if (!sets_[i].selector && sets_[i].source == Source::kLearned) return i;
  }
  return std::nullopt;
}

bool KeySets::has_events() const {
  return std::any_of(sets_.begin(), sets_.end(),
                     [](const Set& set) { return !set.selector && set.source == Source::kEvents; });
}

bool KeySets::is_events(size_t number) const {
  const auto& set = sets_.at(number);
  return !set.selector && set.source == Source::kEvents;
}

std::vector<int64_t> KeySets::positions(size_t number, const GatheredSequence& sequence,
                                        const int64_t* is_event) const {
  if (sequence.length == 0) return {};
  const auto& set = sets_.at(number);
  if (!set.selector && set.source == Source::kLearned) return {};
  if (!set.selector && set.source == Source::kEarlier) {
    const auto found = from_.find(sequence.sequence);
    return found == from_.end() ? std::vector<int64_t>() : found->second;
  }
  const auto matches = [&](int64_t position) {
    if (!set.selector) return is_event[sequence.first_row + position] != 0;
    return set.selector->matches(position, sequence.token_class[position]);
  };
  std::vector<int64_t> positions;
  for (int64_t position = 0; position < sequence.length; ++position) {
    if (!matches(position)) continue;
    positions.push_back(position);
    if (set.selector && set.selector->is_single()) break;
  }
  return positions;
}

}  // namespace actsweep
