// A number that all ranks count up together, each when it likes, and another one that any of them
// may tell all others.
//
// Rank 0 keeps both and answers the others, inside its own calls alone: it calls serve() often, and
// finish() at the end. By messages, not by MPI_Fetch_and_op: Open MPI 4.1 has no windows between
// nodes that only TCP joins (MPI_ERR_WIN), and elsewhere they need rank 0's calls, too.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

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
  /// Tells all ranks a number, which they hear after rank 0's next call. Of several a rank keeps
  /// the first that it tells or hears.
  void tell(double number);
  /// What a rank has told, as far as is known here; costs a microsecond.
  std::optional<double> told();
  /// Answers who has asked; costs a microsecond. Rank 0 alone has anything to do.
  void serve();
  /// Collective: returns when all ranks are here. Until then `while_waiting` is called again and
  /// again; it may call tell().
  void finish(const std::function<void()>& while_waiting = {});

 private:
  struct Message {
    int64_t kind = 0;
    double told = 0;
  };

  bool is_host() const { return rank_ == 0; }
  void ask(const Message& message);
  void answer(int source);
  void spread(double number);
  void hear();
  void hear_rest();

  const Communicator communicator_;
  const int rank_;
  const int others_;
  const int64_t first_;
  int64_t number_;        // rank 0's is the one that counts
  int64_t finished_ = 0;  // of the others
  std::optional<double> told_;
  bool is_heard_ = false;  // rank 0's message with it
};

}  // namespace actsweep
