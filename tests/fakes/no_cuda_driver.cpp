// A machine without a CUDA driver, for nccl_backend.cpp in a build that links no CUDA runtime.
#include <cuda_runtime.h>

cudaError_t cudaDriverGetVersion(int* version) {
  *version = 0;
  return cudaSuccess;
}
