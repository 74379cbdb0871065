// Failing together: a piece of work that any rank of a world may find impossible.
#pragma once

#include <mpi.h>

#include <exception>
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

/// Ends all ranks by an exception, and does not return.
using EndAll = std::function<void(const std::exception_ptr& error)>;

/// Collective over `communicator`, for work inside of which a library lets the members wait for
/// each other: a file that all write together. A member that fails leaves the others there, and
/// they would wait for it at the file's end, too. So an exception is not thrown on: the lowest rank
/// that fails calls `end` within 2 s, which all others wait for. Returns on all members or on none.
/// One member alone throws as agree() does.
void agree_or_end(MPI_Comm communicator, const std::function<void()>& work, const EndAll& end);

}  // namespace actsweep
