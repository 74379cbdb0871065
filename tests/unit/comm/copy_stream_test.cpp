#include "comm/copy_stream.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace actsweep {
namespace {

TEST(CopyStream, HostBufferIsBytesAtA64ByteAddress) {
  const CopyStream stream(at::kCPU);
  for (const int64_t bytes : {1, 63, 64, 1000003}) {
    const at::Tensor buffer = stream.pinned_buffer(bytes);
    EXPECT_EQ(buffer.sizes(), at::IntArrayRef({bytes}));
    EXPECT_EQ(buffer.scalar_type(), at::kByte);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.const_data_ptr()) % 64, 0u);
  }
}

TEST(CopyStream, OnTheHostACopyIsDoneWhenItReturns) {
  CopyStream stream(at::kCPU);
  at::Tensor buffer = stream.pinned_buffer(12 * 4);
  at::Tensor weights = at::zeros({3, 4});
  stream.wait_for_current();
  const at::Tensor numbers = at::arange(12, at::kFloat);
  buffer.view(at::kFloat).copy_(numbers);
  stream.copy(buffer.view(at::kFloat), weights);
  buffer.zero_();
  stream.finish_on_current();
  stream.finish_on_host();
  EXPECT_TRUE(at::equal(weights, numbers.view({3, 4})));
}

TEST(CopyStream, TensorsThatDoNotFitAreRefused) {
  CopyStream stream(at::kCPU);
  const at::Tensor buffer = stream.pinned_buffer(16);
  at::Tensor longer = at::zeros({17}, at::kByte);
  at::Tensor other_type = at::zeros({16}, at::kChar);
  at::Tensor with_gaps = at::zeros({16, 2}, at::kByte).select(1, 0);
  EXPECT_THROW(stream.copy(buffer, longer), std::logic_error);
  EXPECT_THROW(stream.copy(buffer, other_type), std::logic_error);
  EXPECT_THROW(stream.copy(buffer, with_gaps), std::logic_error);
}

TEST(CopyStream, HostTensorsHaveNoStream) { EXPECT_EQ(current_stream(at::zeros({3})), nullptr); }

TEST(CopyStream, UnknownDeviceIsRefused) { EXPECT_THROW(CopyStream{at::Device(at::kMeta)}, Error); }

}  // namespace
}  // namespace actsweep
