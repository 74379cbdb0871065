// Where the time of a sweep goes, on this rank, by the clock of its device.
//
// At any time the clock counts for one part of the work, or for none. On a GPU what is enqueued
// while a part counts is that part's, whenever it runs; where the device has nothing to do, the
// time is that of the part for which the host works.
#pragma once

#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <utility>

#include "comm/device_clock.h"

namespace actsweep {

enum class Part {
  kNone,
  kModel,       // products, attention and their communication
  kStatistics,  // listeners of taps
  kRows,        // what follows a layer: gathering and queueing rows
};

class PassClock {
 public:
  explicit PassClock(DeviceClock clock) : mark_(std::move(clock)), turned_(mark_()) {}

  /// The clock counts for `part` while the value lives, then for what it counted before.
  class Scope {
   public:
    Scope(PassClock& clock, Part part) : clock_(clock), before_(clock.turn_to(part)) {}
    /// On the way of an error the device may answer nothing.
    ~Scope() {
      if (std::uncaught_exceptions() == exceptions_) clock_.turn_to(before_);
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    PassClock& clock_;
    Part before_;
    int exceptions_ = std::uncaught_exceptions();
  };

  /// Seconds of a part, up to the last turn. Waits for the device.
  double seconds_of(Part part);

 private:
  using Mark = std::shared_ptr<const Moment>;
  struct Lap {
    Part part;
    Mark begin, end;
  };

  Part turn_to(Part part);
  void add_first();

  DeviceClock mark_;
  Part part_ = Part::kNone;
  Mark turned_;           // when it began to count for that
  std::deque<Lap> laps_;  // of which the device may not have come to the end
  std::map<Part, double> seconds_;
};

}  // namespace actsweep
