#include "comm/device.h"

#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include "base/error.h"
#ifdef ACTSWEEP_WITH_CUDA
#include <ATen/cuda/CUDAContext.h>
#endif

namespace actsweep {

int count_gpus() { return at::hasCUDA() ? at::detail::getCUDAHooks().getNumGPUs() : 0; }

at::Device choose_device(int local_rank) {
  const int gpus = count_gpus();
  if (gpus == 0) return at::Device(at::kCPU);
  require(local_rank < gpus, ErrorKind::kDevice,
          "expected at most one rank for each of this node's {} GPUs, found rank {} of the node",
          gpus, local_rank);
  const at::Device device(at::kCUDA, static_cast<at::DeviceIndex>(local_rank));
  // What names no device, page-locked memory for one, would else open a context on the first GPU.
  at::accelerator::setDeviceIndex(device.index());
  // Partial sums of half types stay float32, as on the CPU.
  at::globalContext().setAllowBF16ReductionCuBLAS(false);
  at::globalContext().setAllowFP16ReductionCuBLAS(false);
  return device;
}

std::string describe_device([[maybe_unused]] at::Device device) {
#ifdef ACTSWEEP_WITH_CUDA
  if (device.is_cuda()) {
    return fmt::format("CUDA, {}", at::cuda::getDeviceProperties(device.index())->name);
  }
#endif
  return fmt::format("CPU, {}", at::get_cpu_capability());
}

}  // namespace actsweep
