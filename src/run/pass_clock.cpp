#include "run/pass_clock.h"

#include <utility>

namespace actsweep {

Part PassClock::turn_to(Part part) {
  auto now = mark_();
  laps_.push_back({part_, std::exchange(turned_, now), now});
  while (!laps_.empty() && laps_.front().end->has_passed()) add_first();
  return std::exchange(part_, part);
}

void PassClock::add_first() {
  const auto& lap = laps_.front();
  seconds_[lap.part] += lap.end->since(*lap.begin);
  laps_.pop_front();
}

double PassClock::seconds_of(Part part) {
  if (!laps_.empty()) laps_.back().end->wait();
  while (!laps_.empty()) add_first();
  return seconds_[part];
}

}  // namespace actsweep
