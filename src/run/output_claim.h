// A run's hold on its output, from before anything is read for it to the end of the run.
//
// Refuses (ErrorKind::kOutput) a path that no sweep file can have, and an output that another run
// holds. A finished file is held only where segments of it are left.
#pragma once

#include <optional>
#include <string>

#include "comm/session.h"
#include "job/job.h"
#include "output/run_lock.h"

namespace actsweep {

class OutputClaim {
 public:
  /// Collective over all ranks; rank 0 takes the lock, and removes what killed runs left
  /// unfinished.
  OutputClaim(const Job& job, const MpiSession& session);
  /// On the way of an error any rank gives the lock up: it ends all others.
  ~OutputClaim();
  OutputClaim(const OutputClaim&) = delete;
  OutputClaim& operator=(const OutputClaim&) = delete;

  /// The path of the sweep file, links followed.
  const std::string& path() const { return path_; }
  /// Refuses to begin where a finished file, for which no lock was taken, has gone since.
  void check_held() const;
  /// Refuses to go on where another run has the output by now.
  void check() const {
    if (lock_) lock_->check();
  }
  /// Gives the lock up on the way of an end without destructors. By any rank, on any thread: it
  /// ends all others.
  void give_up() const;
  /// Removes the segments, if this rank holds them, and gives the output up.
  void remove_segments();

 private:
  std::string path_;
  std::optional<RunLock> lock_;  // on rank 0
  std::string lock_path_;        // of rank 0's, as are the words in it
  std::string lock_text_;
  int exceptions_ = 0;  // under way when it was claimed
};

}  // namespace actsweep
