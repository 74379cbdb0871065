#include "comm/shared_counter.h"

#include <chrono>
#include <thread>

namespace actsweep {
namespace {

constexpr int kAsk = 1, kNumber = 2, kTold = 3;  // tags
// What a rank asks for.
constexpr int64_t kNext = 0, kTell = 1, kFinish = 2;
constexpr std::chrono::milliseconds kWhileWaiting(1);

}  // namespace

SharedCounter::SharedCounter(MPI_Comm communicator, int64_t first)
    : communicator_(split(communicator, 0, rank_in(communicator))),
      rank_(rank_in(communicator_.get())),
      others_(size_of(communicator_.get()) - 1),
      first_(first),
      number_(first) {}

void SharedCounter::ask(const Message& message) {
  check_mpi(MPI_Send(&message, sizeof(Message), MPI_BYTE, 0, kAsk, communicator_.get()),
            "MPI_Send");
}

int64_t SharedCounter::next() {
  if (is_host()) {
    serve();
    return number_++;
  }
  int64_t number = 0;
  ask({kNext, 0});
  check_mpi(MPI_Recv(&number, 1, MPI_INT64_T, 0, kNumber, communicator_.get(), MPI_STATUS_IGNORE),
            "MPI_Recv");
  return number;
}

/// Rank 0's: all hear of one number, once.
void SharedCounter::spread(double number) {
  if (told_) return;
  told_ = number;
  for (int other = 1; other <= others_; ++other) {
    check_mpi(MPI_Send(&number, 1, MPI_DOUBLE, other, kTold, communicator_.get()), "MPI_Send");
  }
}

void SharedCounter::tell(double number) {
  if (is_host()) return spread(number);
  if (told()) return;
  told_ = number;
  ask({kTell, number});
}

/// Takes rank 0's message, for which it waits.
void SharedCounter::hear() {
  double number = 0;
  check_mpi(MPI_Recv(&number, 1, MPI_DOUBLE, 0, kTold, communicator_.get(), MPI_STATUS_IGNORE),
            "MPI_Recv");
  is_heard_ = true;
  if (!told_) told_ = number;
}

std::optional<double> SharedCounter::told() {
  serve();
  if (is_host() || is_heard_) return told_;
  int is_there = 0;
  check_mpi(MPI_Iprobe(0, kTold, communicator_.get(), &is_there, MPI_STATUS_IGNORE), "MPI_Iprobe");
  if (is_there != 0) hear();
  return told_;
}

/// Takes the message that `source` has sent, and answers it.
void SharedCounter::answer(int source) {
  Message message;
  check_mpi(MPI_Recv(&message, sizeof(Message), MPI_BYTE, source, kAsk, communicator_.get(),
                     MPI_STATUS_IGNORE),
            "MPI_Recv");
  if (message.kind == kTell) return spread(message.told);
  if (message.kind == kFinish) {
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
    if (is_there == 0) return;
    answer(status.MPI_SOURCE);
  }
}

void SharedCounter::finish(const std::function<void()>& while_waiting) {
  MPI_Request all_here = MPI_REQUEST_NULL;
  check_mpi(MPI_Ibarrier(communicator_.get(), &all_here), "MPI_Ibarrier");
  while (true) {
    int are_here = 0;
    check_mpi(MPI_Test(&all_here, &are_here, MPI_STATUS_IGNORE), "MPI_Test");
    if (are_here != 0) return hear_rest();
    serve();
    if (while_waiting) while_waiting();
    std::this_thread::sleep_for(kWhileWaiting);
  }
}

/// No message stays on its way.
void SharedCounter::hear_rest() {
  if (!is_host()) ask({kFinish, 0});
  while (is_host() && finished_ < others_) {
    MPI_Status status;
    check_mpi(MPI_Probe(MPI_ANY_SOURCE, kAsk, communicator_.get(), &status), "MPI_Probe");
    answer(status.MPI_SOURCE);
  }
  int is_spread = told_ ? 1 : 0;
  check_mpi(MPI_Bcast(&is_spread, 1, MPI_INT, 0, communicator_.get()), "MPI_Bcast");
  if (!is_host() && is_spread != 0 && !is_heard_) hear();
}

}  // namespace actsweep
