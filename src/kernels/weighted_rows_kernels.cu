#include "kernels/weighted_rows_kernels.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace actsweep::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kMostBlocks = 65535;  // of the grid's second axis

__device__ float to_float(float x) { return x; }
__device__ float to_float(__half x) { return __half2float(x); }
__device__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

/// A thread adds up one channel of a row, product after product, each rounded before it is added.
template <typename T>
__global__ void add_weighted_kernel(WeightedCall call, const T* values, float* sum) {
  const int64_t channel = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (channel >= call.width) return;
  for (int64_t token = blockIdx.y; token < call.tokens; token += gridDim.y) {
    const int64_t* places = call.places_of + token * call.chosen;
    float* into = sum + token * call.width + channel;
    float total = *into;
    for (int64_t i = 0; i < call.chosen; ++i) {
      const int64_t at = places[i] - call.first;
      if (at < 0 || at >= call.count) continue;
      const float value = to_float(values[at * call.width + channel]);
      total = __fadd_rn(total, __fmul_rn(value, call.weight[places[i]]));
    }
    *into = total;
  }
}

template <typename T>
void launch(const WeightedCall& call, const Rows& values, float* sum, cudaStream_t stream) {
  const auto columns = static_cast<unsigned>((call.width + kThreads - 1) / kThreads);
  const auto rows = call.tokens < kMostBlocks ? static_cast<unsigned>(call.tokens) : kMostBlocks;
  if (columns == 0 || rows == 0) return;
  add_weighted_kernel<<<dim3(columns, rows), kThreads, 0, stream>>>(
      call, static_cast<const T*>(values.data), sum);
}

}  // namespace

void add_weighted_rows(const WeightedCall& call, const Rows& values, float* sum,
                       cudaStream_t stream) {
  switch (values.type) {
    case Element::kFloat:
      return launch<float>(call, values, sum, stream);
    case Element::kHalf:
      return launch<__half>(call, values, sum, stream);
    case Element::kBfloat16:
      return launch<__nv_bfloat16>(call, values, sum, stream);
  }
}

}  // namespace actsweep::cuda
