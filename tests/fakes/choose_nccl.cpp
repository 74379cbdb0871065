// Linked into a program, gives all its groups the NCCL backend whatever the device: a whole sweep
// on host tensors then goes through nccl_backend.cpp and the fake NCCL.
#include "comm/device.h"
#include "comm/nccl_backend.h"

namespace actsweep {

std::shared_ptr<GroupBackend> make_backend(MPI_Comm communicator, at::Device device) {
  return make_nccl_backend(communicator, device);
}

}  // namespace actsweep
