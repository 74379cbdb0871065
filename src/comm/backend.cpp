#include "comm/device.h"
#include "comm/mpi_backend.h"
#include "comm/nccl_backend.h"

namespace actsweep {

std::shared_ptr<GroupBackend> make_backend(MPI_Comm communicator, at::Device device) {
  if (device.is_cuda()) return make_nccl_backend(communicator, device);
  return make_mpi_backend(communicator);
}

}  // namespace actsweep
