#include "comm/device_clock.h"

#include <chrono>

namespace actsweep {
namespace {

class HostMoment : public Moment {
 public:
  bool has_passed() const override { return true; }
  void wait() const override {}
  double since(const Moment& earlier) const override {
    const auto begin = static_cast<const HostMoment&>(earlier).time_;
    return std::chrono::duration<double>(time_ - begin).count();
  }

 private:
  std::chrono::steady_clock::time_point time_ = std::chrono::steady_clock::now();
};

}  // namespace

DeviceClock host_clock() {
  return [] { return std::make_shared<const HostMoment>(); };
}

}  // namespace actsweep
