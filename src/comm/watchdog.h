// Ends a rank whose main thread waits for what will not come: a peer that is stopped, a network
// that is gone, a device or a disk that does not answer. No library tells of these by itself.
//
// In: the main thread's heartbeat, and a question about errors that a library keeps to itself. Out:
// nothing, or one line in the log and the end of the process with the exit code of
// ErrorKind::kDevice, so that the launcher ends all ranks. No destructor runs and no MPI call is
// made: MPI is FUNNELED, and the main thread may be inside it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "comm/heartbeat.h"

namespace actsweep {

/// For how long a heartbeat has been silent, by the time in which the observer looked: a process
/// that was stopped as a whole, or a machine that slept, was not waiting.
class Silence {
 public:
  /// `elapsed_s` since the last look.
  void look(uint64_t beat, double elapsed_s);
  double seconds() const { return seconds_; }

 private:
  uint64_t beat_ = 0;
  double seconds_ = 0;
};

class Watchdog {
 public:
  struct Rank {
    int number = 0;
    int size = 1;
    std::string node;
    std::string device;
  };

  /// Watches from here on. `before_end` gives up what others wait for; it may take 2 s.
  Watchdog(Rank rank, const Heartbeat& heartbeat, std::function<void()> before_end);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// What is asked each second while the value lives: what a library knows to have failed, empty
  /// where nothing. Called on the watchdog's thread.
  using Question = std::function<std::string()>;
  class Asking {
   public:
    Asking(Watchdog& watchdog, Question question) : watchdog_(watchdog) {
      watchdog_.ask(std::move(question));
    }
    ~Asking() { watchdog_.ask({}); }
    Asking(const Asking&) = delete;
    Asking& operator=(const Asking&) = delete;

   private:
    Watchdog& watchdog_;
  };

  /// What the log says of this rank and its last step.
  std::string report(const std::string& trouble) const;

 private:
  void ask(Question question);
  void watch(const std::stop_token& stop);
  std::string trouble();
  [[noreturn]] void end(const std::string& trouble);

  Rank rank_;
  const Heartbeat& heartbeat_;
  std::function<void()> before_end_;
  Silence silence_;
  std::string answer_;  // of the second before
  std::mutex mutex_;    // of the question
  Question question_;
  std::mutex sleep_;
  std::condition_variable_any woken_;
  std::jthread thread_;  // the last member: it uses the others
};

}  // namespace actsweep
