#include "kernels/ops.h"

namespace actsweep {

const RowOps& row_ops_of(at::Device device) {
  if (device.is_cpu()) return kCpuRowOps;
#ifdef ACTSWEEP_WITH_CUDA
  return kCudaRowOps;
#else
  return kAtenRowOps;
#endif
}

}  // namespace actsweep
