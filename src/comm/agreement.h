// Failing together: a piece of work that any rank of a world may find impossible.
#pragma once

#include <mpi.h>

#include <functional>

#include "base/error.h"

namespace actsweep {

/// Thrown where the work went well on this rank but not on another, which reports the error: nothing to print.
class FailedElsewhere : public Error {
 public:
  explicit FailedElsewhere(ErrorKind kind) : Error(kind, "another rank failed") {}
};

/// Collective over `communicator`. Runs `work` on every member. If it throws an Error anywhere, every member throws: the
/// lowest rank that failed its own Error, all others FailedElsewhere with that error's kind.
void agree(MPI_Comm communicator, const std::function<void()>& work);

}  // namespace actsweep
