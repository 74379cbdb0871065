// Who holds a lock on an output, and whether that run still lives.
//
// A lock is a text of lines "word value". One that says nothing yet, or nothing that is understood,
// is held for as long as it is young.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "output/process.h"

namespace actsweep {

struct LockHolder {
  std::optional<Process> process;  // none where the text says nothing
  std::string job;                 // of a batch system; empty without one
  std::string cluster;
  int64_t restart = 0;  // of the job
  std::string started;
  double silent_s = 0;  // since its last sign of life, by the clock of the disk
};

/// The text of a lock that this process takes, with a line for a job of Slurm.
std::string text_of_this_run();
LockHolder parse_lock(const std::string& text);

/// Whether nobody holds the lock any more (run_lock.h says when).
bool is_ended(const LockHolder& holder);
/// "process 12 on node1 (Slurm job 7), started 2026-11-28T12:00:00Z".
std::string describe(const LockHolder& holder);
/// What there is to do for a user who knows better.
std::string how_to_go_on(const LockHolder& holder, const std::string& lock);

/// "lock", "lock-1-of-3".
bool is_lock_name(const std::string& name);

/// A lock's file, open for reading.
class OpenLock {
 public:
  explicit OpenLock(const std::string& path);
  ~OpenLock();
  OpenLock(const OpenLock&) = delete;
  OpenLock& operator=(const OpenLock&) = delete;

  bool is_there() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }
  std::string text() const;
  LockHolder holder() const;
  /// Whether nobody else reserves it: for as long as this object lives. Always where the file
  /// system knows no such thing.
  bool reserve() const;

 private:
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace actsweep
