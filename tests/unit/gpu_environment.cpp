// Makes the GPU of number ACTSWEEP_TEST_GPU (0 where it is not set) current, as a rank does. Skips every
// test of a program built for CUDA tensors where there is none.
#include <gtest/gtest.h>

#include <cstdlib>

#include "comm/device.h"

namespace {

class NeedsGpu : public testing::Environment {
 public:
  void SetUp() override {
    const char* wanted = std::getenv("ACTSWEEP_TEST_GPU");
    const int number = wanted == nullptr ? 0 : std::atoi(wanted);
    if (actsweep::count_gpus() <= number) GTEST_SKIP() << "no GPU " << number;
    actsweep::choose_device(number);
  }
};

const auto* const needs_gpu = testing::AddGlobalTestEnvironment(new NeedsGpu);

}  // namespace
