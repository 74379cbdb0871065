#include "output/io_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <vector>

#include "expect_error.h"

namespace actsweep {
namespace {

TEST(IoThread, RunsTasksInOrderOnOneThread) {
  std::vector<int> order;
  std::vector<std::thread::id> threads;
  IoThread io(1000);
  for (int i = 0; i < 50; ++i) {
    io.submit(100, [&, i] {
      order.push_back(i);
      threads.push_back(std::this_thread::get_id());
    });
  }
  io.drain();
  ASSERT_EQ(order.size(), 50u);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
  for (const auto id : threads) EXPECT_EQ(id, threads[0]);
  EXPECT_NE(threads[0], std::this_thread::get_id());
}

TEST(IoThread, SubmitBlocksWhileTheQueueIsFull) {
  std::promise<void> gate;
  std::atomic<bool> third_is_in = false;
  IoThread io(100);
  io.submit(60, [opened = gate.get_future().share()] { opened.wait(); });
  io.submit(40, [] {});
  std::thread submitter([&] {
    io.submit(1, [] {});
    third_is_in = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_FALSE(third_is_in);
  gate.set_value();
  submitter.join();
  EXPECT_TRUE(third_is_in);
  io.drain();
}

TEST(IoThread, WaitsForWhatATaskBringsAboutAndNotForThoseBehind) {
  std::promise<void> gate;
  std::atomic<bool> is_done = false;
  IoThread io(100);
  io.submit(1, [&] { is_done = true; });
  io.submit(1, [opened = gate.get_future().share()] { opened.wait(); });
  io.wait_until([&] { return is_done.load(); });
  EXPECT_TRUE(is_done);
  gate.set_value();
  io.drain();
}

TEST(IoThread, WaitingEndsWithAFailure) {
  IoThread io(100);
  io.submit(1, [] { fail(ErrorKind::kOutput, "the disk is full"); });
  io.wait_until([] { return false; });
  EXPECT_TRUE(io.failed());
}

TEST(IoThread, TaskLargerThanTheLimitStillRuns) {
  IoThread io(10);
  std::atomic<int> runs = 0;
  io.submit(1000, [&] { ++runs; });
  io.submit(1000, [&] { ++runs; });
  io.drain();
  EXPECT_EQ(runs, 2);
}

TEST(IoThread, FirstFailureIsThrownAndLaterTasksAreDropped) {
  std::atomic<int> runs = 0;
  IoThread io(1000);
  EXPECT_FALSE(io.failed());
  io.submit(1, [] { fail(ErrorKind::kOutput, "the first"); });
  io.submit(1, [] { fail(ErrorKind::kOutput, "the second"); });
  io.submit(1, [&] { ++runs; });
  expect_error(ErrorKind::kOutput, {"the first"}, [&] { io.drain(); });
  EXPECT_TRUE(io.failed());
  io.submit(1, [&] { ++runs; });
  expect_error(ErrorKind::kOutput, {"the first"}, [&] { io.drain(); });
  EXPECT_EQ(runs, 0);
}

TEST(IoThread, DestructionRunsWhatIsQueued) {
  std::atomic<int> runs = 0;
  {
    IoThread io(1000);
    for (int i = 0; i < 20; ++i) io.submit(1, [&] { ++runs; });
  }
  EXPECT_EQ(runs, 20);
}

}  // namespace
}  // namespace actsweep
