#include "run/machine.h"

#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

#include "kernels/product.h"
#include "run/memory_limits.h"
#include "weights/stage.h"

namespace actsweep {
namespace {

/// The rest is for what nobody counts: the allocator's own, libraries, other processes.
constexpr double kMemoryShare = 0.8;

int64_t available_bytes(at::Device device, int64_t ranks) {
  if (!device.is_cpu())
    return static_cast<int64_t>(at::accelerator::getMemoryInfo(device.index()).first);
  // Slurm counts what its ranks hold already, and they hold alike.
  const int64_t of_job = slurm_bytes(variable_of_process);
  const int64_t held = of_job == kUnlimited_bytes ? 0 : ranks * held_bytes();
  const int64_t shared = std::min(left_on_node_bytes(), std::max<int64_t>(0, of_job - held));
  return std::min(shared / ranks, left_to_process_bytes());
}

}  // namespace

int64_t memory_to_plan_bytes(at::Device device, int64_t ranks) {
  return static_cast<int64_t>(kMemoryShare * static_cast<double>(available_bytes(device, ranks)));
}

int64_t free_disk_bytes(const std::string& path) {
  auto place = std::filesystem::absolute(path);
  std::error_code error;
  while (!std::filesystem::exists(place, error) && place.has_relative_path()) {
    place = place.parent_path();
  }
  const auto space = std::filesystem::space(place, error);
  return error ? 0 : static_cast<int64_t>(space.available);
}

double measure_product_rate(Dtype dtype, at::Device device) {
  // On a GPU so large that the wait for its result is a small part.
  const int64_t side = device.is_cpu() ? 1024 : 8192;
  const auto options = at::TensorOptions().dtype(scalar_type(dtype)).device(device);
  const auto a = at::ones({side, side}, options), b = at::ones({side, side}, options);
  auto out = at::empty({side, side}, options);
  const auto multiply = [&] {
    project(a, b, {}, out);
    out[0][0].item<float>();  // waits for the device
  };
  multiply();  // the first product chooses kernels and starts threads
  const auto start = std::chrono::steady_clock::now();
  double seconds = 0;
  int products = 0;
  while (seconds < 0.03) {
    multiply();
    ++products;
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  return products * 2.0 * std::pow(static_cast<double>(side), 3) / seconds;
}

}  // namespace actsweep
