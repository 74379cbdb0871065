// What only a GPU can show. Builds everywhere; gpu_environment.cpp skips it where no GPU is.
#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>
#include <gtest/gtest.h>

#include <chrono>

#include "comm/device_clock.h"

namespace actsweep {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

TEST(DeviceClockOnGpu, CountsWhatTheDeviceDoesAfterTheCallsHaveReturned) {
  const at::Device device = at::empty({0}, at::kCUDA).device();  // the current one
  const auto mark = clock_of(device);
  const at::Tensor square = at::ones({8192, 8192}, at::TensorOptions(device).dtype(at::kFloat));
  at::Tensor product = at::mm(square, square);  // the library has begun
  at::accelerator::synchronizeDevice(device.index());

  const auto begin = Clock::now();
  const auto first = mark();
  for (int i = 0; i < 20; ++i) product = at::mm(square, product) / 8192;
  const auto last = mark();
  const double enqueued_s = seconds_since(begin);
  EXPECT_FALSE(last->has_passed());
  last->wait();
  const double done_s = seconds_since(begin);
  EXPECT_TRUE(first->has_passed() && last->has_passed());
  const double counted_s = last->since(*first);
  EXPECT_GT(counted_s, 2 * enqueued_s);
  EXPECT_LE(counted_s, done_s);
  EXPECT_GT(counted_s, 0.8 * done_s);
}

}  // namespace
}  // namespace actsweep
