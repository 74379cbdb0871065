// What the threads of a block do together, for the kernels that measure.
#pragma once

#include <cstdint>

namespace actsweep::cuda {

inline constexpr unsigned kAll = 0xffffffff;  // threads of a warp

__device__ inline uint32_t magnitude_bits(float x) { return __float_as_uint(x) & 0x7fffffff; }

template <typename T>
__device__ T larger(T a, T b) {
  return a < b ? b : a;
}

struct Sum {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Largest {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return larger(a, b);
  }
};

/// The values of all threads of the block combined, for each of them, in a fixed order.
template <typename T, typename Combine>
__device__ T over_block(T value, const Combine& combine) {
  __shared__ T of_warp[32];
  for (int distance = 16; distance > 0; distance /= 2) {
    value = combine(value, __shfl_xor_sync(kAll, value, distance));
  }
  __syncthreads();  // what was combined before this has been read
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
  __syncthreads();
  T all = of_warp[0];
  for (unsigned warp = 1; warp < blockDim.x / 32; ++warp) all = combine(all, of_warp[warp]);
  return all;
}

template <typename Count>
struct Place {
  uint32_t bin;
  Count rank;  // among the values of the bin
};

/// The bin that holds the value of rank `rank` (0 is the smallest), for each thread of the block.
/// count [bins], bins a multiple of the block's threads; the counts pass the rank.
template <typename Count>
__device__ Place<Count> find_rank(const Count* count, int bins, Count rank) {
  __shared__ Count of_warp[32];
  __shared__ Place<Count> found;
  const int mine = bins / static_cast<int>(blockDim.x);
  const int first = static_cast<int>(threadIdx.x) * mine;
  Count total = 0;
  for (int i = 0; i < mine; ++i) total += count[first + i];
  Count upto = total;  // of the threads up to this one in its warp
  for (int distance = 1; distance < 32; distance *= 2) {
    const Count before = __shfl_up_sync(kAll, upto, distance);
    if (static_cast<int>(threadIdx.x % 32) >= distance) upto += before;
  }
  __syncthreads();
  if (threadIdx.x % 32 == 31) of_warp[threadIdx.x / 32] = upto;
  __syncthreads();
  Count below = upto - total;
  for (unsigned warp = 0; warp < threadIdx.x / 32; ++warp) below += of_warp[warp];
  if (below <= rank && rank < below + total) {
    int bin = first;
    while (below + count[bin] <= rank) below += count[bin++];
    found = {static_cast<uint32_t>(bin), rank - below};
  }
  __syncthreads();
  return found;
}

/// Blocks of `threads` for `count` things.
inline unsigned blocks_of(int64_t count, int64_t threads) {
  return static_cast<unsigned>((count + threads - 1) / threads);
}

}  // namespace actsweep::cuda
