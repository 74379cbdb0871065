#include "comm/shared_counter.h"

namespace actsweep {
namespace {

constexpr int kAsk = 1, kNumber = 2;
// What a rank asks for.
constexpr int kNext = 0, kFinish = 1;

}  // namespace

SharedCounter::SharedCounter(MPI_Comm communicator, int64_t first)
    : communicator_(split(communicator, 0, rank_in(communicator))),
      rank_(rank_in(communicator_.get())),
      others_(size_of(communicator_.get()) - 1),
      first_(first),
      number_(first) {}

int64_t SharedCounter::next() {
  if (is_host()) {
    serve();
    return number_++;
  }
  int64_t number = 0;
  check_mpi(MPI_Send(&kNext, 1, MPI_INT, 0, kAsk, communicator_.get()), "MPI_Send");
  check_mpi(MPI_Recv(&number, 1, MPI_INT64_T, 0, kNumber, communicator_.get(), MPI_STATUS_IGNORE),
            "MPI_Recv");
  return number;
}

/// Takes the message that `source` has sent, and answers it.
void SharedCounter::answer(int source) {
  int asked = kNext;
  check_mpi(
      MPI_Recv(&asked, 1, MPI_INT, source, kAsk, communicator_.get(), MPI_STATUS_IGNORE),
      "MPI_Recv");
  if (asked == kFinish) {
    ++finished_;
    return;
  }
  check_mpi(MPI_Send(&number_, 1, MPI_INT64_T, source, kNumber, communicator_.get()), "MPI_Send");
  ++number_;
}

void SharedCounter::serve() {
  if (!is_host()) return;
  while (finished_ < others_) {
    int is_there = 0;
    MPI_Status status;
    check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, kAsk, communicator_.get(), &is_there, &status),
              "MPI_Iprobe");
    if (!is_there) return;
    answer(status.MPI_SOURCE);
  }
}

void SharedCounter::finish() {
  if (!is_host()) {
    check_mpi(MPI_Send(&kFinish, 1, MPI_INT, 0, kAsk, communicator_.get()), "MPI_Send");
    return;
  }
  while (finished_ < others_) {
    MPI_Status status;
    check_mpi(MPI_Probe(MPI_ANY_SOURCE, kAsk, communicator_.get(), &status), "MPI_Probe");
    answer(status.MPI_SOURCE);
  }
}

}  // namespace actsweep
