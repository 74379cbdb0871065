// Collectives over NCCL, one communicator per group, on the tensors' current CUDA stream.
//
// In: an MPI communicator, which carries NCCL's unique id from its rank 0, and this rank's own
// device. Out: a GroupBackend whose calls return when the operation is enqueued, not when it is
// done. Floats are added in rank order, from exchanged pieces, so that no topology decides their
// bits.
// Refuses (ErrorKind::kDevice) whatever NCCL reports, at once or to check(), and a peer that does
// not come within `patience`; after that it refuses all but its end. Destroyed before finish() it
// aborts. A build without CUDA refuses to make one.
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
