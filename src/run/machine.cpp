#include "run/machine.h"

#include <ATen/DeviceAccelerator.h>

#include <algorithm>
#include <filesystem>

#include "run/memory_limits.h"

namespace actsweep {
namespace {

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

}  // namespace actsweep
