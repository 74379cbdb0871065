// Progress on rank 0: a bar on a terminal, a line per minute elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace actsweep {

class Progress {
 public:
  /// Of `tokens` that all replicas have to measure together, through `layers` layers.
  Progress(int64_t tokens, int64_t layers, bool is_speaker);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// All replicas have done so many times what this one has.
  void shared_by(double replicas) { replicas_ = replicas; }
  /// `tokens` tokens have passed one more layer.
  void layer_done(int64_t tokens);
  /// Of all replicas.
  double tokens_per_s() const;
  /// Seconds that `token_layers` more would take; negative while unknown.
  double seconds_for(int64_t token_layers) const;
  double elapsed_s() const;

 private:
  double share() const;
  void show(bool is_last);
  std::string line() const;

  int64_t tokens_;
  int64_t layers_;
  bool is_speaker_;
  bool is_terminal_;
  double replicas_ = 1;
  int64_t token_layers_done_ = 0;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point shown_;
};

}  // namespace actsweep
