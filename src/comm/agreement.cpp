#include "comm/agreement.h"

#include <chrono>
#include <optional>
#include <thread>

#include "comm/session.h"

namespace actsweep {
namespace {

constexpr int kFailedTag = 1907;                  // of messages that nothing else has
constexpr std::chrono::seconds kOthersToFail(2);  // in which all ranks that fail alike do
constexpr std::chrono::seconds kOwnEnd(10);       // after which a rank ends by itself

/// Tells all others that this rank has failed, which none has to be there for.
bool tell_others(MPI_Comm communicator) {
  const int rank = rank_in(communicator), size = size_of(communicator);
  bool is_told = true;
  for (int other = 0; other < size; ++other) {
    if (other == rank) continue;
    MPI_Request request = MPI_REQUEST_NULL;
    is_told &=
        MPI_Isend(nullptr, 0, MPI_BYTE, other, kFailedTag, communicator, &request) == MPI_SUCCESS;
    is_told &= MPI_Request_free(&request) == MPI_SUCCESS;
  }
  return is_told;
}

/// Whether a lower rank has said that it has failed.
bool has_lower_failed(MPI_Comm communicator) {
  for (int lower = 0; lower < rank_in(communicator); ++lower) {
    int is_there = 0;
    const int status = MPI_Iprobe(lower, kFailedTag, communicator, &is_there, MPI_STATUS_IGNORE);
    if (status == MPI_SUCCESS && is_there != 0) return true;
  }
  return false;
}

/// Waits for those that fail alike.
bool is_lowest_to_fail(MPI_Comm communicator) {
  if (!tell_others(communicator)) return true;
  const auto end = std::chrono::steady_clock::now() + kOthersToFail;
  while (std::chrono::steady_clock::now() < end) {
    if (has_lower_failed(communicator)) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

}  // namespace

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

void agree_or_end(MPI_Comm communicator, const std::function<void()>& work, const EndAll& end) {
  if (size_of(communicator) == 1) return agree(communicator, work);
  try {
    work();
  } catch (...) {
    if (!is_lowest_to_fail(communicator)) std::this_thread::sleep_for(kOwnEnd);
    end(std::current_exception());
  }
  check_mpi(MPI_Barrier(communicator), "MPI_Barrier");
}

}  // namespace actsweep
