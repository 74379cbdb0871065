// Collectives over NCCL: one NCCL communicator per group, on the current CUDA stream of the
// tensors' device.
//
// In: an MPI communicator, which carries NCCL's unique id from its rank 0, and this rank's device
// (one per rank). Out: a GroupBackend. Calls return when NCCL has enqueued the operation, not when
// the device has finished it. Sums are in float32 but in NCCL's order of ranks, so reduce_scatter
// and all_reduce agree with MPI's to rounding. Refuses (ErrorKind::kDevice) whatever NCCL reports,
// at once or later, and a peer that does not come within `patience`; the communicator is then
// aborted and refuses all further calls. A build without CUDA refuses to make one.
#pragma once

#include <mpi.h>

#include <chrono>
#include <memory>
#include <string>

#include "comm/group.h"

namespace actsweep {

/// Longer than any rank may be late for the first collective, in which NCCL connects the peers.
inline constexpr std::chrono::milliseconds kNcclPatience = std::chrono::minutes(10);

/// Collective over `communicator`, which is borrowed for the call only.
std::shared_ptr<GroupBackend> make_nccl_backend(MPI_Comm communicator, at::Device device,
                                                std::chrono::milliseconds patience = kNcclPatience);

/// "2.29.7", or "none" in a build without NCCL.
std::string nccl_version();

/// "13.0", or "none" on a machine or in a build without a CUDA driver.
std::string cuda_driver_version();

}  // namespace actsweep
