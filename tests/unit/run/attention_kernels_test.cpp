#include "run/attention_kernels.h"

#include <gmock/gmock.h>

namespace actsweep {
namespace {

Architecture two_layers(std::vector<int64_t> windows) {
  Architecture a;
  a.layers = 2;
  a.channels = 96;
  a.heads = 6;
  a.kv_heads = 2;
  a.head_width = 16;
  a.ffn_width = 128;
  a.vocabulary = 10;
  a.window = std::move(windows);
  return a;
}

TEST(AttentionKernels, HaveALineForEachWindow) {
  Job job;
  job.corpus.sequence_length = 64;
  job.model.dtype = Dtype::kFloat32;
  EXPECT_THAT(attention_kernels_of(two_layers({8, 0}), job, at::kCPU),
              testing::ElementsAre("attention without a window: ATen's flash kernel",
                                   "attention in windows of 8 tokens: ATen's flash kernel"));
  EXPECT_THAT(attention_kernels_of(two_layers({0, 0}), job, at::kCPU), testing::SizeIs(1));
}

}  // namespace
}  // namespace actsweep
