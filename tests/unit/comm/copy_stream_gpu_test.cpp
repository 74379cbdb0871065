// What only a GPU can show. Builds everywhere; gpu_environment.cpp skips it where no GPU is.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "comm/copy_stream.h"

namespace actsweep {
namespace {

constexpr int64_t kFloats = 16 << 20;  // 64 MiB: the copy is still on its way when copy() returns

class CopyStreamOnGpu : public testing::Test {
 protected:
  const at::Device device_ = at::empty({0}, at::kCUDA).device();  // the current one
};

TEST_F(CopyStreamOnGpu, ComputationAfterFinishSeesTheCopy) {
  CopyStream stream(device_);
  at::Tensor buffer = stream.pinned_buffer(kFloats * 4);
  EXPECT_TRUE(buffer.is_pinned());
  at::Tensor weights = at::zeros({kFloats}, at::TensorOptions(device_).dtype(at::kFloat));
  for (int round = 1; round <= 10; ++round) {
    stream.finish_on_host();
    buffer.view(at::kFloat).fill_(round);
    stream.wait_for_current();
    stream.copy(buffer.view(at::kFloat), weights);
    stream.finish_on_current();
    EXPECT_EQ(weights.min().item<float>(), static_cast<float>(round));
    EXPECT_EQ(weights.max().item<float>(), static_cast<float>(round));
  }
}

TEST_F(CopyStreamOnGpu, CopyWaitsForComputationThatStillReadsTheTensor) {
  CopyStream stream(device_);
  at::Tensor buffer = stream.pinned_buffer(kFloats * 4);
  buffer.view(at::kFloat).fill_(2);
  at::Tensor weights = at::ones({kFloats}, at::TensorOptions(device_).dtype(at::kFloat));
  const at::Tensor square = at::ones({8192, 8192}, at::TensorOptions(device_).dtype(at::kFloat));
  at::Tensor product = square;
  for (int i = 0; i < 20; ++i) product = at::mm(square, product) / 8192;  // keeps the stream busy
  const at::Tensor old_sum = weights.sum(at::kDouble);
  stream.wait_for_current();
  stream.copy(buffer.view(at::kFloat), weights);
  stream.finish_on_current();
  const at::Tensor new_sum = weights.sum(at::kDouble);
  EXPECT_EQ(old_sum.item<double>(), static_cast<double>(kFloats));
  EXPECT_EQ(new_sum.item<double>(), static_cast<double>(2 * kFloats));
}

TEST_F(CopyStreamOnGpu, CurrentStreamIsThatOfTheTensorsDevice) {
  const at::Tensor tensor = at::zeros({3}, device_);
  EXPECT_EQ(current_stream(tensor), current_stream(tensor + 1));
}

}  // namespace
}  // namespace actsweep
