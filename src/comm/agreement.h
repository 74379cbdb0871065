// Failing together: a piece of work that any rank of a world may find impossible.
#pragma once

#include <mpi.h>

#include <functional>

#include "base/error.h"

namespace actsweep {

/// An Error that all members of a communicator know of. The lowest rank that failed reports it; the
/// others have nothing to print.
class AgreedError : public Error {
 public:
  AgreedError(ErrorKind kind, const std::string& message, bool is_mine)
      : Error(kind, message), is_mine_(is_mine) {}
  bool is_mine() const { return is_mine_; }

 private:
  bool is_mine_;
};

/// Collective over `communicator`. Runs `work` on every member. If it throws an Error anywhere,
/// every member throws an AgreedError of the kind that the lowest failing rank met.
void agree(MPI_Comm communicator, const std::function<void()>& work);

}  // namespace actsweep
