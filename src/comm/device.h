// Which device this rank computes on, and the backend of a group for it.
#pragma once

#include <ATen/core/Tensor.h>
#include <mpi.h>

#include <memory>
#include <string>

#include "comm/group.h"

namespace actsweep {

/// GPUs that this build and machine have.
int count_gpus();

/// The GPU of this local rank, made current, where this build and machine have any, else the CPU.
/// Refuses (kDevice) more ranks than GPUs.
at::Device choose_device(int local_rank);

/// The backend for tensors on `device`. Collective over `communicator`.
std::shared_ptr<GroupBackend> make_backend(MPI_Comm communicator, at::Device device);

/// What decides the last bits of its kernels: for a CPU the instruction set, for a GPU its name.
std::string describe_device(at::Device device);

}  // namespace actsweep
