#include "run/unit_queue.h"

#include <algorithm>

namespace actsweep {

UnitQueue::UnitQueue(const std::vector<int64_t>& pending, int replica, int64_t replicas,
                     const Group& group, SharedCounter& counter)
    : pending_(pending),
      group_(group),
      counter_(counter),
      place_(replica),
      begun_(std::min(replicas, static_cast<int64_t>(pending.size()))) {}

std::optional<int64_t> UnitQueue::peek() {
  const auto units = static_cast<int64_t>(pending_.size());
  if (!place_) {
    const auto place = group_.rank() == 0 ? std::min(counter_.next(), units) : 0;
    place_ = group_.largest(static_cast<int>(place));
  }
  if (*place_ >= units) return std::nullopt;
  return pending_[*place_];
}

std::optional<int64_t> UnitQueue::take() {
  const auto unit = peek();
  if (!unit) return std::nullopt;
  begun_ = std::max(begun_, *place_ + 1);
  ++mine_;
  place_.reset();
  return unit;
}

double UnitQueue::shared_by() const {
  return static_cast<double>(begun_) / static_cast<double>(std::max<int64_t>(1, mine_));
}

}  // namespace actsweep
