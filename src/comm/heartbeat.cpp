#include "comm/heartbeat.h"

#include <fmt/format.h>

#include <utility>

namespace actsweep {

void Heartbeat::begin(std::string work, double patience_s) {
  rename(std::move(work));
  const std::lock_guard lock(mutex_);
  patience_s_ = patience_s;
}

double Heartbeat::allow(double patience_s) {
  const std::lock_guard lock(mutex_);
  ++number_;
  return std::exchange(patience_s_, patience_s);
}

void Heartbeat::rename(std::string work) {
  const std::lock_guard lock(mutex_);
  ++number_;
  work_ = std::move(work);
  layer_ = microbatch_ = -1;
}

void Heartbeat::beat(int64_t layer, int64_t microbatch) {
  const std::lock_guard lock(mutex_);
  ++number_;
  layer_ = layer;
  microbatch_ = microbatch;
}

void Heartbeat::beat() {
  const std::lock_guard lock(mutex_);
  ++number_;
}

Heartbeat::Beat Heartbeat::last() const {
  const std::lock_guard lock(mutex_);
  std::string step = work_;
  if (layer_ >= 0) step += fmt::format(": layer {}", layer_);
  if (microbatch_ >= 0) step += fmt::format(", micro-batch {}", microbatch_);
  return {number_, patience_s_, step};
}

}  // namespace actsweep
