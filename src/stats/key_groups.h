// The groups of sequences of one micro-batch whose attention is looked at, for all layers and
// heads.
//
// In: sets of keys and the sequences of the micro-batch. Out: groups on the first position, on each
// set, and on what value updates compare: a set and random keys in its place. Those of the set
// "events" change with the layer.
#pragma once

#include <cstdint>
#include <vector>

#include "stats/key_sets.h"
#include "stats/sequence_groups.h"

namespace actsweep {

/// `count` different numbers of [0, total) that are not in `taken` (rising), rising; fewer where
/// there are no more. The i-th number drawn is splitmix64(seed, i) modulo what is left, in the list
/// of those left.
std::vector<int64_t> draw_positions(uint64_t seed, int64_t count, int64_t total,
                                    const std::vector<int64_t>& taken);

class KeyGroups {
 public:
  /// `heads` and `width` are those of the rank's queries. `sets` and `sequences` must outlive it.
  KeyGroups(const KeySets& sets, const GatheredSequences& sequences, const GroupTensor& heads,
            bool has_updates, const Grouping& grouping);

  /// Looks up the sets that follow events, as KeySets::positions takes them.
  void see_events(const int64_t* is_event);

  using Groups = std::vector<SequenceGroup>;
  /// [S, T] bool: what of the gathered rows is no token.
  at::Tensor padding() const { return sequences_.is_token.logical_not(); }
  const Groups& first() const { return first_; }
  const Groups& set(size_t number) const { return sets_of_[number]; }
  /// Selection 0: the set itself; 1: random keys of a window's first half, as many.
  const Groups& update(int64_t selection, size_t set) const { return updates_[selection][set]; }

 private:
  GroupTensor of_scores() const;
  void look_up(size_t set, const int64_t* is_event);

  const KeySets& sets_;
  const GatheredSequences& sequences_;
  GroupTensor heads_;
  Grouping grouping_;
  bool has_updates_;
  Groups first_;
  std::vector<Groups> sets_of_;
  std::vector<Groups> updates_[2];
};

}  // namespace actsweep
