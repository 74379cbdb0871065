#include "stats/key_groups.h"

#include <algorithm>

#include "base/splitmix.h"

namespace actsweep {

std::vector<int64_t> draw_positions(uint64_t seed, int64_t count, int64_t total,
                                    const std::vector<int64_t>& taken) {
  std::vector<int64_t> left;
  for (int64_t i = 0; i < total; ++i) {
    if (!std::binary_search(taken.begin(), taken.end(), i)) left.push_back(i);
  }
  std::vector<int64_t> drawn;
  for (uint64_t i = 0; static_cast<int64_t>(i) < count && !left.empty(); ++i) {
    const auto at = static_cast<int64_t>(splitmix64(seed, i) % left.size());
    drawn.push_back(left[at]);
    left.erase(left.begin() + at);
  }
  std::sort(drawn.begin(), drawn.end());
  return drawn;
}

KeyGroups::KeyGroups(const KeySets& sets, const GatheredSequences& sequences,
                     const GroupTensor& heads, bool has_updates, const Grouping& grouping)
    : sets_(sets),
      sequences_(sequences),
      heads_(heads),
      grouping_(grouping),
      has_updates_(has_updates),
      first_(group_sequences(sequences, first_keys(sequences), of_scores(), grouping_)),
      sets_of_(sets.count()),
      updates_{std::vector<Groups>(sets.count()), std::vector<Groups>(sets.count())} {
  for (size_t set = 0; set < sets.count(); ++set) {
    if (!sets.is_events(set)) look_up(set, nullptr);
  }
}

/// Only a GPU copies queries to make scores.
GroupTensor KeyGroups::of_scores() const {
  return {heads_.heads, grouping_.pads ? heads_.width : 1};
}

void KeyGroups::see_events(const int64_t* is_event) {
  for (size_t set = 0; set < sets_.count(); ++set) {
    if (sets_.is_events(set)) look_up(set, is_event);
  }
}

void KeyGroups::look_up(size_t set, const int64_t* is_event) {
  std::vector<std::vector<int64_t>> keys, drawn;
  for (const auto& sequence : sequences_.all) {
    keys.push_back(sets_.positions(set, sequence, is_event));
    if (!has_updates_) continue;
    drawn.push_back(draw_positions(static_cast<uint64_t>(sequence.sequence),
                                   static_cast<int64_t>(keys.back().size()), sequence.length / 2,
                                   keys.back()));
  }
  sets_of_[set] = group_sequences(sequences_, keys, of_scores(), grouping_);
  if (!has_updates_) return;
  updates_[0][set] = group_sequences(sequences_, keys, heads_, grouping_);
  updates_[1][set] = group_sequences(sequences_, drawn, heads_, grouping_);
}

}  // namespace actsweep
