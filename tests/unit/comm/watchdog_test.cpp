// A death test for each way in which a watchdog ends a process; the time it takes is part of the
// claim.
#include "comm/watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>

#include "base/log.h"

namespace actsweep {
namespace {

using testing::AllOf;
using testing::ExitedWithCode;
using testing::HasSubstr;

constexpr int kDevice = 5;

void sleep_s(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

TEST(Silence, IsTheTimeSinceTheLastBeat) {
  Silence silence;
  silence.look(1, 1);
  EXPECT_EQ(silence.seconds(), 0);
  silence.look(1, 1);
  silence.look(1, 1.5);
  EXPECT_EQ(silence.seconds(), 2.5);
  silence.look(2, 1);
  EXPECT_EQ(silence.seconds(), 0);
}

TEST(Silence, TimeInWhichNobodyLookedIsNotCounted) {
  Silence silence;
  silence.look(0, 1);
  silence.look(0, 3600);  // stopped as a whole, or the machine slept
  EXPECT_LE(silence.seconds(), 3);
}

TEST(Heartbeat, SaysTheLastStepInWords) {
  Heartbeat heartbeat;
  heartbeat.begin("reading the weights", 7);
  EXPECT_EQ(heartbeat.last().step, "reading the weights");
  EXPECT_EQ(heartbeat.last().patience_s, 7);
  heartbeat.rename("segment 3");
  const auto before = heartbeat.last();
  heartbeat.beat(2, 5);
  EXPECT_EQ(heartbeat.last().step, "segment 3: layer 2, micro-batch 5");
  EXPECT_NE(heartbeat.last().number, before.number);
  EXPECT_EQ(heartbeat.last().patience_s, 7);
}

class WatchdogDeath : public testing::Test {
 protected:
  WatchdogDeath() {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    start_log(1, 4);
  }

  static Watchdog::Rank rank() { return {1, 4, "n1", "CPU, AVX2"}; }
  static void say_end() { std::fputs("gave up\n", stderr); }
};

TEST_F(WatchdogDeath, SilenceEndsTheProcessWithItsLastStep) {
  const auto silent = [] {
    Heartbeat heartbeat;
    heartbeat.begin("segment 3", 1);
    heartbeat.beat(2, 5);
    const Watchdog watchdog(rank(), heartbeat, say_end);
    sleep_s(60);
  };
  EXPECT_EXIT(silent(), ExitedWithCode(kDevice),
              "rank 1 of 4 on node n1, device CPU, AVX2: expected a step within 1 s(.|\n)*last "
              "step: segment 3: layer 2, micro-batch 5, [12] s ago(.|\n)*gave up");
}

TEST_F(WatchdogDeath, ErrorThatALibraryKeepsToItselfEndsTheProcess) {
  const auto failed = [] {
    Heartbeat heartbeat;
    heartbeat.begin("segment 3", 1000);
    Watchdog watchdog(rank(), heartbeat, say_end);
    const Watchdog::Asking asking(watchdog, [] { return "NCCL watch: remote error"; });
    sleep_s(60);
  };
  EXPECT_EXIT(failed(), ExitedWithCode(kDevice), "NCCL watch: remote error; last step: segment 3");
}

TEST_F(WatchdogDeath, FileSystemThatDoesNotAnswerDelaysTheEndByTwoSeconds) {
  const auto stuck = [] {
    Heartbeat heartbeat;
    heartbeat.begin("segment 3", 1);
    const Watchdog watchdog(rank(), heartbeat, [] { sleep_s(60); });
    sleep_s(60);
  };
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EXIT(stuck(), ExitedWithCode(kDevice), "expected a step");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(50));
}

TEST(Watchdog, StepsAndErrorsThatPassLetTheProcessLive) {
  Heartbeat heartbeat;
  heartbeat.begin("segment 3", 2);
  Watchdog watchdog({}, heartbeat, [] {});
  int asked = 0;
  const Watchdog::Asking asking(watchdog, [&] { return ++asked % 2 == 0 ? "" : "for one second"; });
  for (int i = 0; i < 30; ++i) {
    sleep_s(0.1);
    heartbeat.beat(i, 0);
  }
}

}  // namespace
}  // namespace actsweep
