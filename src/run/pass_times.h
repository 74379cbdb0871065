// Where the time of a sweep goes, on this rank.
#pragma once

#include <chrono>

namespace actsweep {

/// Seconds by purpose, summed over a sweep.
struct PassTimes {
  double model_s = 0;       // products, attention and their communication
  double statistics_s = 0;  // listeners of taps
  double rows_s = 0;        // what follows a layer: gathering and queueing rows
};

/// Adds the seconds of a scope to a sum.
class Timer {
 public:
  explicit Timer(double& sum_s) : sum_s_(sum_s), start_(std::chrono::steady_clock::now()) {}
  ~Timer() {
    sum_s_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

 private:
  double& sum_s_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace actsweep
