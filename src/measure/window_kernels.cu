// The medians and histograms of windows.
#include <cmath>

#include "measure/block_kernels.cuh"
#include "measure/measure_kernels.h"

namespace actsweep::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWindowThreads = 1024;

/// Calls `take` with the magnitude's bits of each activation of this block's tokens of a window: a
/// warp takes a token at a time.
template <typename Take>
__device__ void over_window(const TokenRows& rows, const WindowRuns& windows, const Take& take) {
  constexpr int kWarps = kWindowThreads / 32, kTogether = 8;
  constexpr uint32_t kNothing = kAll;  // no magnitude's bits
  const int64_t begin = windows.begin[blockIdx.y], end = windows.begin[blockIdx.y + 1];
  const int64_t step = static_cast<int64_t>(gridDim.x) * kWarps;
  const int channels = static_cast<int>(rows.channels);
  for (int64_t token = begin + static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
       token < end; token += step) {
    if (!windows.is_finite[token]) continue;
    const float* x = rows.x + rows.row[token] * rows.channels;
    for (int first = threadIdx.x % 32; first < channels; first += 32 * kTogether) {
      uint32_t bits[kTogether];  // read before the first is taken
      for (int j = 0; j < kTogether; ++j) {
        const int i = first + 32 * j;
        bits[j] = i < channels ? magnitude_bits(x[i]) : kNothing;
      }
      for (int j = 0; j < kTogether; ++j) {
        if (bits[j] != kNothing) take(bits[j]);
      }
    }
  }
}

/// Adds a warp's counts of exact zeros, which would queue up at one counter, at once.
template <typename Counter>
__device__ void add_zeros(unsigned zeros, Counter* counter) {
  for (int distance = 16; distance > 0; distance /= 2) {
    zeros += __shfl_xor_sync(kAll, zeros, distance);
  }
  if (threadIdx.x % 32 == 0 && zeros > 0) atomicAdd(counter, static_cast<Counter>(zeros));
}

/// The histograms of windows. Counts in shared memory where the GPU has room for the bins there.
template <bool kIsShared>
__global__ void __launch_bounds__(kWindowThreads)
    histogram_kernel(TokenRows rows, WindowRuns windows, WindowWork work, int bins) {
  extern __shared__ uint32_t local[];
  auto* global = work.histogram + blockIdx.y * static_cast<int64_t>(bins);
  unsigned zeros = 0;
  if constexpr (kIsShared) {
    for (int i = threadIdx.x; i < bins; i += kWindowThreads) local[i] = 0;
    __syncthreads();
    over_window(rows, windows, [&](uint32_t bits) {
      bits == 0 ? void(++zeros) : void(atomicAdd(&local[bits >> 16], 1u));
    });
    add_zeros(zeros, &local[0]);
    __syncthreads();
    for (int i = threadIdx.x; i < bins; i += kWindowThreads) {
      if (local[i] > 0) atomicAdd(&global[i], static_cast<unsigned long long>(local[i]));
    }
  } else {
    over_window(rows, windows, [&](uint32_t bits) {
      bits == 0 ? void(++zeros) : void(atomicAdd(&global[bits >> 16], 1ull));
    });
    add_zeros(zeros, &global[0]);
  }
}

/// The bin of each window's median.
__global__ void __launch_bounds__(kWindowThreads) median_bin_kernel(WindowWork work, int bins) {
  const auto* count = work.histogram + blockIdx.x * static_cast<int64_t>(bins);
  unsigned long long total = 0;
  for (int i = threadIdx.x; i < bins; i += kWindowThreads) total += count[i];
  total = over_block(total, Sum{});
  if (total == 0) {
    if (threadIdx.x == 0) work.bin[blockIdx.x] = kAll;
    return;
  }
  // The bins that a block's threads share evenly, then those that are left.
  const int even = bins / kWindowThreads * kWindowThreads;
  unsigned long long below = 0;
  for (int i = threadIdx.x; i < even; i += kWindowThreads) below += count[i];
  below = over_block(below, Sum{});
  const unsigned long long rank = (total - 1) / 2;
  if (rank < below) {
    const auto place = find_rank<unsigned long long>(count, even, rank);
    if (threadIdx.x == 0) {
      work.bin[blockIdx.x] = place.bin;
      work.rank[blockIdx.x] = place.rank;
    }
  } else if (threadIdx.x == 0) {
    int bin = even;
    while (below + count[bin] <= rank) below += count[bin++];
    work.bin[blockIdx.x] = static_cast<uint32_t>(bin);
    work.rank[blockIdx.x] = rank - below;
  }
}

/// The lower 16 bits of the magnitudes in the bin of their window's median.
__global__ void __launch_bounds__(kWindowThreads)
    low_kernel(TokenRows rows, WindowRuns windows, WindowWork work) {
  const uint32_t bin = work.bin[blockIdx.y];
  auto* low = work.low + blockIdx.y * kLowBins;
  unsigned zeros = 0;
  over_window(rows, windows, [&](uint32_t bits) {
    if (bits >> 16 != bin) return;
    bits == 0 ? void(++zeros) : void(atomicAdd(&low[bits & (kLowBins - 1)], 1u));
  });
  if (bin == 0) add_zeros(zeros, &low[0]);
}

__global__ void __launch_bounds__(kWindowThreads) median_kernel(WindowWork work, float* median) {
  const uint32_t bin = work.bin[blockIdx.x];
  if (bin == kAll) {
    if (threadIdx.x == 0) median[blockIdx.x] = NAN;
    return;
  }
  const auto* low = work.low + blockIdx.x * kLowBins;
  const auto place =
      find_rank<uint32_t>(low, kLowBins, static_cast<uint32_t>(work.rank[blockIdx.x]));
  if (threadIdx.x == 0) median[blockIdx.x] = __uint_as_float(bin << 16 | place.bin);
}

__global__ void add_histograms_kernel(const unsigned long long* of_window, int64_t windows,
                                      int64_t bins, int64_t* histogram) {
  const int64_t bin = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (bin >= bins) return;
  unsigned long long sum = 0;
  for (int64_t window = 0; window < windows; ++window) sum += of_window[window * bins + bin];
  histogram[bin] += static_cast<int64_t>(sum);
}

struct Gpu {
  int multiprocessors = 1;
  int shared_bytes = 0;  // that a block may ask for
};

Gpu current_gpu() {
  Gpu gpu;
  int device = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&gpu.multiprocessors, cudaDevAttrMultiProcessorCount, device);
  cudaDeviceGetAttribute(&gpu.shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  return gpu;
}

}  // namespace

void measure_windows(const TokenRows& rows, const WindowRuns& windows, const WindowWork& work,
                     int64_t bins, float* median, int64_t* histogram, cudaStream_t stream) {
  if (windows.windows == 0) return;
  const Gpu gpu = current_gpu();
  const auto count = static_cast<unsigned>(windows.windows);
  // About as many blocks as run at a time, and no more than there are tokens for a block's warps.
  const unsigned wanted = blocks_of(gpu.multiprocessors, windows.windows);
  const unsigned most =
      blocks_of(windows.most_tokens > 0 ? windows.most_tokens : 1, kWindowThreads / 32);
  const dim3 grid(wanted < most ? wanted : most, count);
  const int shared_bytes = static_cast<int>(bins) * static_cast<int>(sizeof(uint32_t));
  const int bin_count = static_cast<int>(bins);
  if (shared_bytes <= gpu.shared_bytes) {
    cudaFuncSetAttribute(histogram_kernel<true>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         shared_bytes);
    histogram_kernel<true>
        <<<grid, kWindowThreads, shared_bytes, stream>>>(rows, windows, work, bin_count);
  } else {
    histogram_kernel<false><<<grid, kWindowThreads, 0, stream>>>(rows, windows, work, bin_count);
  }
  median_bin_kernel<<<count, kWindowThreads, 0, stream>>>(work, bin_count);
  low_kernel<<<grid, kWindowThreads, 0, stream>>>(rows, windows, work);
  median_kernel<<<count, kWindowThreads, 0, stream>>>(work, median);
  if (histogram == nullptr) return;
  add_histograms_kernel<<<blocks_of(bins, kThreads), kThreads, 0, stream>>>(
      work.histogram, windows.windows, bins, histogram);
}

}  // namespace actsweep::cuda
