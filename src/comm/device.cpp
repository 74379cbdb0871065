#include "comm/device.h"

#include <ATen/ATen.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/Version.h>

#include "base/error.h"
#include "comm/mpi_backend.h"
#include "comm/nccl_backend.h"

namespace actsweep {

at::Device choose_device(int local_rank) {
  const int gpus = at::hasCUDA() ? at::detail::getCUDAHooks().getNumGPUs() : 0;
  if (gpus == 0) return at::Device(at::kCPU);
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(local_rank % gpus));
}

std::shared_ptr<GroupBackend> make_backend(MPI_Comm communicator, at::Device device) {
  if (device.is_cuda()) return make_nccl_backend(communicator, device);
  return make_mpi_backend(communicator);
}

std::string describe_device(at::Device device) {
  if (device.is_cuda()) return fmt::format("CUDA, compute kernels of LibTorch, {}", device.str());
  return fmt::format("CPU, {}", at::get_cpu_capability());
}

}  // namespace actsweep
