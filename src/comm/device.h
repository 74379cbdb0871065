// Which device this rank computes on, and the backend of a group for it.
#pragma once

#include <ATen/core/Tensor.h>
#include <mpi.h>

#include <memory>
#include <string>

#include "comm/group.h"

namespace actsweep {

/// The GPU of this local rank where this build and machine have any, else the CPU. Refuses
/// (kDevice) more ranks than GPUs.
at::Device choose_device(int local_rank);

/// The backend for tensors on `device`. Collective over `communicator`.
std::shared_ptr<GroupBackend> make_backend(MPI_Comm communicator, at::Device device);

/// The device's name and, for a CPU, the instruction set that decides its kernels' last bits.
std::string describe_device(at::Device device);

}  // namespace actsweep
