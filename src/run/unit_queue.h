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
#include "comm/heartbeat.h"
#include "comm/shared_counter.h"

namespace actsweep {

class UnitQueue {
 public:
  struct Unit {
    int64_t number;
    int64_t tokens;
  };

  /// Rank 0, which answers, may still read its weights while another group asks: a rank may wait so
  /// long.
  struct Waiting {
    Heartbeat& heartbeat;
    double patience_s;
  };

  /// `counter` starts at the number of model groups; `replica` is this group's.
  UnitQueue(std::vector<Unit> pending, int replica, const Group& group, SharedCounter& counter,
            const Waiting& waiting);

  /// Collective over the model group: the unit that this group will take next, none where no unit
  /// is left. From here on it is no other group's.
  std::optional<int64_t> peek();
  /// The same, and takes it.
  std::optional<int64_t> take();
  /// The tokens that all groups have begun, as far as this one knows, over those that it has
  /// itself; 1 where it has none.
  double shared_by() const;
  int64_t tokens() const;  // of all that was pending
  /// Answers other groups, where this rank keeps the counter.
  void serve() { counter_.serve(); }
  /// Member 0 tells all groups of a stop, whose deadline is so many seconds away.
  void tell_stop(double left_s) {
    if (group_.rank() == 0) counter_.tell(left_s);
  }
  /// On member 0 what a group has told of a stop, as far as is known here.
  std::optional<double> told_stop_s() {
    return group_.rank() == 0 ? counter_.told() : std::nullopt;
  }

 private:
  int64_t ask();

  const std::vector<Unit> pending_;
  const Group& group_;
  SharedCounter& counter_;
  const Waiting waiting_;
  std::optional<int64_t> place_;  // in `pending_`, of what peek() gives
  size_t begun_;                  // places that groups have begun, as far as is known
  int64_t mine_ = 0;              // tokens
};

}  // namespace actsweep
