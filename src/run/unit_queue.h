// The pending units of a sweep, which model groups measure as they are free: a slow group measures
// fewer. What is written does not depend on who measures what.
//
// In: what is pending, on all ranks alike. Out: one unit after another, to one group alone each.
// A group begins with the unit of its own number; from then on a counter that all share decides.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "comm/group.h"
#include "comm/shared_counter.h"

namespace actsweep {

class UnitQueue {
 public:
  /// `counter` starts at `replicas`, the number of model groups; `replica` is this group's.
  UnitQueue(const std::vector<int64_t>& pending, int replica, int64_t replicas, const Group& group,
            SharedCounter& counter);

  /// Collective over the model group: the unit that this group will take next, none where no unit
  /// is left. From here on it is no other group's.
  std::optional<int64_t> peek();
  /// The same, and takes it.
  std::optional<int64_t> take();
  /// Units that all groups have begun, as far as this one knows, over those that it has itself.
  double shared_by() const;
  /// Answers other groups, where this rank keeps the counter.
  void serve() { counter_.serve(); }

 private:
  const std::vector<int64_t>& pending_;
  const Group& group_;
  SharedCounter& counter_;
  std::optional<int64_t> place_;  // in `pending_`, of what peek() gives
  int64_t begun_;                 // by all groups, as far as is known
  int64_t mine_ = 0;
};

}  // namespace actsweep
