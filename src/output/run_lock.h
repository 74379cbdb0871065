// One output, one run: the lock in the folder of a sweep file's segments.
//
// In: the path of the sweep file, links followed, and the shard of the run. Out:
// OUTPUT.segments/lock, or lock-I-of-N, which says who holds it. A run of the whole corpus shares
// its folder with no other, shards of one number share it with each other. Refuses
// (ErrorKind::kOutput) an output that another run holds, naming that run.
//
// The lock of a run that was killed is nobody's: on this machine where its process has ended; where
// it is the same Slurm job before a restart; elsewhere once it gave no sign of life, which a run
// gives every 30 s, for 5 minutes.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace actsweep {

inline constexpr int kSignOfLife_s = 30;
inline constexpr int kSilence_s = 300;  // after which a run elsewhere counts as ended

/// The shards of an output that a run measures: number `index` of `count`.
struct LockedShard {
  int64_t index = 0;
  int64_t count = 1;
};

class RunLock {
 public:
  /// Takes the lock, and the folder with it where it is missing. `pause` lies between signs of
  /// life.
  explicit RunLock(const std::string& output, LockedShard shard = {},
                   std::chrono::milliseconds pause = std::chrono::seconds(kSignOfLife_s));
  /// Gives the lock up, and an empty folder with it.
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  const std::string& path() const { return path_; }
  /// What the file says: of this run alone.
  const std::string& text() const { return text_; }
  /// Refuses to go on where the lock was removed or is another run's by now.
  void check() const;

 private:
  void take();
  void refuse_others();
  void release();
  void keep(const std::stop_token& stop, std::chrono::milliseconds pause);

  std::string output_;
  std::string folder_;
  std::string path_;
  LockedShard shard_;
  std::string text_;
  int descriptor_ = -1;
  std::atomic<bool> is_lost_ = false;
  std::mutex mutex_;
  std::condition_variable_any woken_;
  std::jthread keeper_;  // the last member: it uses the others
};

/// Gives up a lock in the name of its holder, whose run is at its end: does nothing where the file
/// does not say `text`.
void release_lock(const std::string& path, const std::string& text);

/// Removes what runs that were killed have left unfinished of a sweep file and of the segments of
/// this shard. For the holder of the lock.
void remove_unfinished(const std::string& output, LockedShard shard);

/// Removes a sweep file's segments; what else lies in their folder stays.
void remove_segments(const std::string& output);

}  // namespace actsweep
