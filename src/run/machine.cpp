#include "run/machine.h"

#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "model/product.h"
#include "model/stage.h"

namespace actsweep {
namespace {

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

int64_t meminfo_available_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string key;
    int64_t kib = 0;
    if (fields >> key >> kib && key == "MemAvailable:") return kib * 1024;
  }
  return kUnlimited;
}

/// A number in a file of the control group; unlimited where there is none ("max").
int64_t control_group_bytes(const std::string& name) {
  std::ifstream file("/sys/fs/cgroup/" + name);
  int64_t bytes = 0;
  return file >> bytes ? bytes : kUnlimited;
}

}  // namespace

int64_t available_memory_bytes(at::Device device) {
  if (!device.is_cpu())
    return static_cast<int64_t>(at::accelerator::getMemoryInfo(device.index()).first);
  int64_t bytes = meminfo_available_bytes();
  const int64_t limit = control_group_bytes("memory.max");
  if (limit != kUnlimited) {
    bytes = std::min(bytes, limit - std::min(limit, control_group_bytes("memory.current")));
  }
  return bytes;
}

int64_t free_disk_bytes(const std::string& path) {
  auto place = std::filesystem::absolute(path);
  while (!std::filesystem::exists(place) && place.has_relative_path()) place = place.parent_path();
  std::error_code error;
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
