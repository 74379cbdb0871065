#include "comm/agreement.h"

#include <optional>

#include "comm/session.h"

namespace actsweep {

void agree(MPI_Comm communicator, const std::function<void()>& work) {
  std::optional<Error> mine;
  try {
    work();
  } catch (const Error& error) {
    mine = error;
  }
  const int rank = rank_in(communicator), size = size_of(communicator);
  int first = mine ? rank : size;
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, communicator),
            "MPI_Allreduce");
  if (first == size) return;
  int kind = mine ? mine->exit_code() : 0;
  check_mpi(MPI_Bcast(&kind, 1, MPI_INT, first, communicator), "MPI_Bcast");
  const bool is_mine = rank == first;
  throw AgreedError(static_cast<ErrorKind>(kind), is_mine ? mine->what() : "another rank failed",
                    is_mine);
}

}  // namespace actsweep
