// Skips every test of a program built for CUDA tensors where no GPU is.
#include <gtest/gtest.h>

#include "comm/device.h"

namespace {

class NeedsGpu : public testing::Environment {
 public:
  void SetUp() override {
    if (actsweep::count_gpus() == 0) GTEST_SKIP() << "no GPU";
  }
};

const auto* const needs_gpu = testing::AddGlobalTestEnvironment(new NeedsGpu);

}  // namespace
