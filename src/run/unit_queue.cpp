#include "run/unit_queue.h"

#include <algorithm>
#include <span>
#include <utility>

namespace actsweep {

namespace {

int64_t tokens_of(std::span<const UnitQueue::Unit> units) {
  int64_t tokens = 0;
  for (const auto& unit : units) tokens += unit.tokens;
  return tokens;
}

}  // namespace

UnitQueue::UnitQueue(std::vector<Unit> pending, int replica, const Group& group,
                     SharedCounter& counter, const Waiting& waiting)
    : pending_(std::move(pending)),
      group_(group),
      counter_(counter),
      waiting_(waiting),
      place_(replica),
      begun_(std::min(static_cast<size_t>(counter.first()), pending_.size())) {}

/// The next place, for all members; that behind the last one where none is left.
int64_t UnitQueue::ask() {
  const auto units = static_cast<int64_t>(pending_.size());
  const double before = waiting_.heartbeat.allow(waiting_.patience_s);
  const auto place = group_.rank() == 0 ? std::min(counter_.next(), units) : 0;
  const int64_t agreed = group_.largest(static_cast<int>(place));
  waiting_.heartbeat.allow(before);
  return agreed;
}

std::optional<int64_t> UnitQueue::peek() {
  const auto units = static_cast<int64_t>(pending_.size());
  if (!place_) place_ = ask();
  begun_ = std::max(begun_, static_cast<size_t>(std::min(*place_, units)));
  if (*place_ >= units) return std::nullopt;
  return pending_[*place_].number;
}

std::optional<int64_t> UnitQueue::take() {
  const auto unit = peek();
  if (!unit) return std::nullopt;
  begun_ = std::max(begun_, static_cast<size_t>(*place_) + 1);
  mine_ += pending_[*place_].tokens;
  place_.reset();
  return unit;
}

double UnitQueue::shared_by() const {
  if (mine_ == 0) return 1;
  const auto begun = tokens_of(std::span(pending_).first(begun_));
  return static_cast<double>(begun) / static_cast<double>(mine_);
}

int64_t UnitQueue::tokens() const { return tokens_of(pending_); }

}  // namespace actsweep
