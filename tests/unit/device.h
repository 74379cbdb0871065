// The device that a test program is built for: ACTSWEEP_TEST_DEVICE, "cpu" where the build names
// none. One for "cuda" skips all its tests where no GPU is (gpu_environment.cpp).
#pragma once

#include <ATen/ATen.h>

#ifndef ACTSWEEP_TEST_DEVICE
#define ACTSWEEP_TEST_DEVICE "cpu"
#endif

namespace actsweep {

inline at::Device test_device() { return at::Device(ACTSWEEP_TEST_DEVICE); }

}  // namespace actsweep
