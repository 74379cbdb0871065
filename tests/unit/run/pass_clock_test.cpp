// The clock's account, by a fake device that is behind its host, and by the host itself.
#include "run/pass_clock.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <thread>

namespace actsweep {
namespace {

/// A device to which the host gives work, of which it has done some. Time is what the work takes.
struct FakeDevice {
  double given_s = 0;
  mutable double done_s = 0;
  int waits = 0;

  DeviceClock clock();
};

class FakeMoment : public Moment {
 public:
  explicit FakeMoment(FakeDevice& device) : device_(device), at_s_(device.given_s) {}
  bool has_passed() const override { return device_.done_s >= at_s_; }
  void wait() const override {
    ++device_.waits;
    device_.done_s = std::max(device_.done_s, at_s_);
  }
  double since(const Moment& earlier) const override {
    EXPECT_TRUE(has_passed()) << "a moment is asked of before it has passed";
    return at_s_ - static_cast<const FakeMoment&>(earlier).at_s_;
  }

 private:
  FakeDevice& device_;
  double at_s_;
};

DeviceClock FakeDevice::clock() {
  return [this] { return std::make_shared<const FakeMoment>(*this); };
}

TEST(PassClock, TimeIsThatOfThePartForWhichWorkIsGiven) {
  FakeDevice device;
  PassClock clock(device.clock());
  for (int layer = 0; layer < 10; ++layer) {
    {
      const PassClock::Scope model(clock, Part::kModel);
      device.given_s += 3;
    }
    device.given_s += 0.25;
    const PassClock::Scope statistics(clock, Part::kStatistics);
    device.given_s += 1;
  }
  EXPECT_EQ(device.waits, 0);
  EXPECT_EQ(clock.seconds_of(Part::kModel), 30);
  EXPECT_EQ(clock.seconds_of(Part::kStatistics), 10);
  EXPECT_EQ(clock.seconds_of(Part::kNone), 2.5);
  EXPECT_EQ(clock.seconds_of(Part::kRows), 0);
  EXPECT_EQ(device.waits, 1);  // for all at once
}

TEST(PassClock, PartInsideAnotherTakesItsTimeFromThat) {
  FakeDevice device;
  PassClock clock(device.clock());
  {
    const PassClock::Scope model(clock, Part::kModel);
    device.given_s += 3;
    {
      const PassClock::Scope statistics(clock, Part::kStatistics);
      device.given_s += 1;
    }
    device.given_s += 5;
  }
  EXPECT_EQ(clock.seconds_of(Part::kModel), 8);
  EXPECT_EQ(clock.seconds_of(Part::kStatistics), 1);
}

TEST(PassClock, DeviceThatKeepsUpIsNotWaitedFor) {
  FakeDevice device;
  PassClock clock(device.clock());
  for (int layer = 0; layer < 3; ++layer) {
    const PassClock::Scope model(clock, Part::kModel);
    device.given_s += 2;
    device.done_s = device.given_s;
  }
  EXPECT_EQ(clock.seconds_of(Part::kModel), 6);
  EXPECT_EQ(device.waits, 0);
}

TEST(PassClock, ErrorAsksTheDeviceNothing) {
  FakeDevice device;
  int marks = 0;
  PassClock clock([&, mark = device.clock()] {
    ++marks;
    return mark();
  });
  const auto fail = [&] {
    const PassClock::Scope model(clock, Part::kModel);
    throw std::runtime_error("the device has failed");
  };
  EXPECT_THROW(fail(), std::runtime_error);
  EXPECT_EQ(marks, 2);  // at the beginning of the clock and of the scope
}

TEST(PassClock, OfTheHostCountsWhatItDoes) {
  PassClock clock(clock_of(at::kCPU));
  const auto begin = std::chrono::steady_clock::now();
  {
    const PassClock::Scope model(clock, Part::kModel);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const std::chrono::duration<double> all = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(clock.seconds_of(Part::kModel), 0.02);
  EXPECT_LE(clock.seconds_of(Part::kModel), all.count());
  EXPECT_EQ(clock.seconds_of(Part::kRows), 0);
}

}  // namespace
}  // namespace actsweep
