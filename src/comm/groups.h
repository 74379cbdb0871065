// The groups of a session, and the two ways in which they end.
//
// In: each group's communicator and backend, once devices are chosen. Out: the groups, until
// finish(), on the good path, or abort(), where an error is caught. What is destroyed without
// either is aborted: unwinding waits for no peer.
#pragma once

#include <deque>
#include <memory>

#include "comm/group.h"

namespace actsweep {

class Groups {
 public:
  Groups() = default;
  ~Groups();
  Groups(const Groups&) = delete;
  Groups& operator=(const Groups&) = delete;

  /// A group over the members of `communicator` (borrowed, must outlive this), which lives as long
  /// as this does.
  const Group& add(MPI_Comm communicator, std::shared_ptr<GroupBackend> backend);

  /// Collective over each group, in the order in which they were added, the same on every rank:
  /// waits until what was enqueued is done and all members are here. Throws what a backend reports,
  /// as check() does. Nothing may be called on a group afterwards.
  void finish();

  /// What a backend knows to have failed, for another thread; empty where nothing. No group may be
  /// added meanwhile.
  std::string trouble();

  /// Ends what the groups have enqueued, wherever that stands, and waits for nobody. May be called
  /// again, and after finish().
  void abort() noexcept;

 private:
  struct Member {
    std::shared_ptr<GroupBackend> backend;
    Group group;
  };
  std::deque<Member> members_;  // which a new one does not move
};

}  // namespace actsweep
