#include "comm/device.h"

#include <ATen/ATen.h>
#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include "base/error.h"

namespace actsweep {

at::Device choose_device(int local_rank) {
  const int gpus = at::hasCUDA() ? at::detail::getCUDAHooks().getNumGPUs() : 0;
  if (gpus == 0) return at::Device(at::kCPU);
  require(local_rank < gpus, ErrorKind::kDevice,
          "expected at most one rank for each of this node's {} GPUs, found rank {} of the node",
          gpus, local_rank);
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(local_rank));
}

std::string describe_device(at::Device device) {
  if (device.is_cuda()) return fmt::format("CUDA, compute kernels of LibTorch, {}", device.str());
  return fmt::format("CPU, {}", at::get_cpu_capability());
}

}  // namespace actsweep
