// The last step of a rank's main thread, for whoever looks from another thread.
//
// The main thread calls begin() where its work changes its kind and beat() after each piece of it,
// more often than the patience of that work; a call costs nanoseconds.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

namespace actsweep {

class Heartbeat {
 public:
  /// What another thread sees.
  struct Beat {
    uint64_t number = 0;    // which changes with every step
    double patience_s = 0;  // for the next one
    std::string step;       // "segment 3: layer 2, micro-batch 5"
  };

  /// From here on the steps are of `work`, and none takes longer than `patience_s`.
  void begin(std::string work, double patience_s);
  /// The next steps of the same work may take so long; returns what was allowed before.
  double allow(double patience_s);
  /// The work goes by another name from here on: "segment 3".
  void rename(std::string work);
  void beat(int64_t layer, int64_t microbatch);
  /// A step that has no name.
  void beat();

  Beat last() const;

 private:
  mutable std::mutex mutex_;
  uint64_t number_ = 0;
  double patience_s_ = 0;
  std::string work_;
  int64_t layer_ = -1, microbatch_ = -1;  // -1: none
};

}  // namespace actsweep
