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

/// The GPU of this number, made current, where this build and machine have any, else the CPU.
at::Device choose_device(int number);
/// Collective over `communicator`: the same of a GPU that no other rank of this node has. Refuses
/// (kDevice) what choose_gpus() does.
at::Device share_devices(MPI_Comm communicator);

/// The backend for tensors on `device`. Collective over `communicator`.
std::shared_ptr<GroupBackend> make_backend(MPI_Comm communicator, at::Device device);

/// What decides the last bits of its kernels: for a CPU the instruction set, for a GPU its name.
std::string describe_device(at::Device device);
/// The instruction set of the CPU's kernels, whatever the device.
std::string cpu_instructions();

}  // namespace actsweep
