// Stands in for nccl_backend.cpp in a build without CUDA.
#include "base/error.h"
#include "comm/nccl_backend.h"

namespace actsweep {

std::shared_ptr<GroupBackend> make_nccl_backend(MPI_Comm, at::Device device,
                                                std::chrono::milliseconds) {
  fail(ErrorKind::kDevice,
       "no NCCL communicator for device {}: this build of actsweep has no CUDA; configure it with "
       "-DACTSWEEP_CUDA=ON, or run on the CPU over MPI",
       device.str());
}

std::string nccl_version() { return "none"; }

std::string cuda_driver_version() { return "none"; }

}  // namespace actsweep
