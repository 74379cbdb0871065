// Skips every test of a program built for CUDA tensors where no GPU is.
#include <ATen/ATen.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <gtest/gtest.h>

namespace {

class NeedsGpu : public testing::Environment {
 public:
  void SetUp() override {
    const int gpus = at::hasCUDA() ? at::detail::getCUDAHooks().getNumGPUs() : 0;
    if (gpus == 0) GTEST_SKIP() << "no GPU";
  }
};

const auto* const needs_gpu = testing::AddGlobalTestEnvironment(new NeedsGpu);

}  // namespace
