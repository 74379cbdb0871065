#include "comm/groups.h"

namespace actsweep {

Groups::~Groups() { abort(); }

const Group& Groups::add(MPI_Comm communicator, std::shared_ptr<GroupBackend> backend) {
  members_.push_back({backend, Group(communicator, backend)});
  return members_.back().group;
}

void Groups::finish() {
  for (auto& member : members_) member.backend->finish();
}

std::string Groups::trouble() {
  for (auto& member : members_) {
    if (auto found = member.backend->trouble(); !found.empty()) return found;
  }
  return {};
}

void Groups::abort() noexcept {
  for (auto& member : members_) member.backend->abort();
}

}  // namespace actsweep
