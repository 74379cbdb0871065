// A number that all ranks count up together, each when it likes.
//
// Rank 0 keeps it and answers the others, inside its own calls alone: it calls serve() often, and
// finish() at the end. By messages, not by MPI_Fetch_and_op: Open MPI 4.1 has no windows between
// nodes that only TCP joins (MPI_ERR_WIN), and elsewhere they need rank 0's calls, too.
#pragma once

#include <cstdint>

#include "comm/session.h"

namespace actsweep {

class SharedCounter {
 public:
  /// Collective over `communicator`. The first number is `first`.
  SharedCounter(MPI_Comm communicator, int64_t first);

  int64_t first() const { return first_; }
  /// A number that no other call has or will have; those of all calls follow each other from
  /// `first`. Waits for rank 0's next call of any of these methods.
  int64_t next();
  /// Answers who has asked; costs a microsecond. Rank 0 alone has anything to do.
  void serve();
  /// No call follows on this rank. Rank 0 returns when all others have called it.
  void finish();

 private:
  bool is_host() const { return rank_ == 0; }
  void answer(int source);

  const Communicator communicator_;
  const int rank_;
  const int others_;
  const int64_t first_;
  int64_t number_;        // rank 0's is the one that counts
  int64_t finished_ = 0;  // of the others
};

}  // namespace actsweep
