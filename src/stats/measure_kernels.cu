#include "stats/measure_kernels.h"

#include <cmath>

namespace actsweep::cuda {
namespace {

constexpr int kThreads = 256;
constexpr uint32_t kInfinityBits = 0x7f800000;
constexpr unsigned kAll = 0xffffffff;  // threads of a warp

__device__ uint32_t magnitude_bits(float x) { return __float_as_uint(x) & 0x7fffffff; }

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

__global__ void __launch_bounds__(kThreads) token_kernel(TokenRows rows, TokenColumns columns) {
  // Magnitudes have 31 bits: 11, 10 and 10 of them at a time.
  constexpr int kBins = 2048, kLaterBins = 1024;
  __shared__ uint32_t count[kBins];
  const int64_t token = blockIdx.x;
  const float* x = rows.x + rows.row[token] * rows.channels;
  const int channels = static_cast<int>(rows.channels);
  for (int i = threadIdx.x; i < kBins; i += kThreads) count[i] = 0;
  __syncthreads();
  // Falling magnitude, then rising channel, is the falling order of this number. It is never 0.
  const auto order_of = [](uint32_t bits, int channel) {
    return static_cast<unsigned long long>(bits) << 32 | (kAll - static_cast<uint32_t>(channel));
  };
  double square = 0;
  unsigned long long first = 0;
  for (int i = threadIdx.x; i < channels; i += kThreads) {
    const float value = x[i];
    const uint32_t bits = magnitude_bits(value);
    square += static_cast<double>(value) * value;
    first = larger(first, order_of(bits, i));
    atomicAdd(&count[bits >> 20], 1u);
  }
  first = over_block(first, Largest{});
  square = over_block(square, Sum{});
  const bool is_finite = first >> 32 < kInfinityBits;
  if (threadIdx.x == 0) columns.is_finite[token] = is_finite;
  if (!is_finite) return;
  if (threadIdx.x == 0) columns.norm[token] = static_cast<float>(sqrt(square));

  unsigned long long top = first;  // 0 when no channel is left
  for (int place = 0; place < columns.top_k; ++place) {
    if (threadIdx.x == 0) {
      const uint32_t channel = top == 0 ? kAll : kAll - static_cast<uint32_t>(top);
      columns.top_channel[token * columns.top_k + place] = channel;
      columns.top_value[token * columns.top_k + place] = top == 0 ? NAN : x[channel];
    }
    if (top == 0 || place + 1 == columns.top_k) continue;
    unsigned long long next = 0;
    for (int i = threadIdx.x; i < channels; i += kThreads) {
      const auto order = order_of(magnitude_bits(x[i]), i);
      if (order < top) next = larger(next, order);
    }
    top = over_block(next, Largest{});
  }

  auto place = find_rank<uint32_t>(count, kBins, static_cast<uint32_t>(channels - 1) / 2);
  uint32_t known = place.bin;  // the upper bits of the median
  for (const int shift : {10, 0}) {
    __syncthreads();
    for (int i = threadIdx.x; i < kLaterBins; i += kThreads) count[i] = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < channels; i += kThreads) {
      const uint32_t bits = magnitude_bits(x[i]);
      if (bits >> (shift + 10) == known) atomicAdd(&count[bits >> shift & (kLaterBins - 1)], 1u);
    }
    __syncthreads();
    place = find_rank<uint32_t>(count, kLaterBins, place.rank);
    known = known << 10 | place.bin;
  }
  if (threadIdx.x == 0) columns.median[token] = __uint_as_float(known);
}

constexpr int kChannelThreads = 128;

/// One run's sums of 128 channels.
__global__ void __launch_bounds__(kChannelThreads)
    run_kernel(TokenRows rows, ClassRuns runs, RunSums sums) {
  __shared__ const float* at[kRunTokens];  // null for a token that is not finite
  const int64_t run = blockIdx.y;
  const int32_t begin = runs.begin[run], length = runs.begin[run + 1] - begin;
  int finite = 0;
  for (int first = 0; first < kRunTokens; first += kChannelThreads) {
    const int i = first + static_cast<int>(threadIdx.x);
    const int32_t token = i < length ? runs.token[begin + i] : 0;
    const bool is_counted = i < length && runs.is_finite[token];
    at[i] = is_counted ? rows.x + rows.row[token] * rows.channels : nullptr;
    finite += __syncthreads_count(is_counted);
  }
  if (blockIdx.x == 0 && threadIdx.x == 0) sums.count[run] = finite;
  const int64_t channel = static_cast<int64_t>(blockIdx.x) * kChannelThreads + threadIdx.x;
  if (channel >= rows.channels) return;
  double sum = 0, sum_square = 0, fourth = 0;
  float largest = 0;
  int above = 0;
#pragma unroll 8
  for (int i = 0; i < length; ++i) {
    const float value = at[i] != nullptr ? at[i][channel] : 0.0f;
    const double exact = value, square = exact * exact;
    sum += exact;
    sum_square += square;
    fourth += square * square;
    largest = fmaxf(largest, fabsf(value));
    above += fabsf(value) >= 6;
  }
  const int64_t place = run * rows.channels + channel;
  sums.sum[place] = sum;
  sums.square[place] = sum_square;
  sums.fourth[place] = fourth;
  sums.largest[place] = largest;
  sums.above_6[place] = above;
}

/// Adds the runs in their order; classes without a run are left as they are.
__global__ void __launch_bounds__(kChannelThreads)
    add_runs_kernel(int64_t channels, ClassRuns runs, RunSums work, ChannelSums sums) {
  const int64_t channel = static_cast<int64_t>(blockIdx.x) * kChannelThreads + threadIdx.x;
  if (channel >= channels) return;
  double sum = 0, square = 0, fourth = 0;  // sum and square: of one class
  float largest = 0;
  int64_t above = 0, count = 0;
#pragma unroll 8
  for (int64_t run = 0; run < runs.runs; ++run) {
    const int64_t from = run * channels + channel;
    const int32_t of_class = runs.token_class[run];
    sum += work.sum[from];
    square += work.square[from];
    count += work.count[run];
    fourth += work.fourth[from];
    largest = fmaxf(largest, work.largest[from]);
    above += work.above_6[from];
    if (run + 1 < runs.runs && runs.token_class[run + 1] == of_class) continue;
    sums.class_sum[of_class * channels + channel] = sum;
    sums.class_sum_square[of_class * channels + channel] = square;
    if (channel == 0) sums.class_count[of_class] = count;
    sum = square = 0;
    count = 0;
  }
  sums.sum_fourth[channel] = fourth;
  sums.max_magnitude[channel] = largest;
  sums.count_above_6[channel] = above;
}

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

unsigned blocks_of(int64_t count, int64_t threads) {
  return static_cast<unsigned>((count + threads - 1) / threads);
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

void measure_tokens(const TokenRows& rows, const TokenColumns& columns, cudaStream_t stream) {
  if (rows.tokens == 0) return;
  token_kernel<<<static_cast<unsigned>(rows.tokens), kThreads, 0, stream>>>(rows, columns);
}

void sum_channels(const TokenRows& rows, const ClassRuns& runs, const RunSums& work,
                  const ChannelSums& sums, cudaStream_t stream) {
  const unsigned tiles = blocks_of(rows.channels, kChannelThreads);
  if (runs.runs > 0) {
    const dim3 grid(tiles, static_cast<unsigned>(runs.runs));
    run_kernel<<<grid, kChannelThreads, 0, stream>>>(rows, runs, work);
  }
  add_runs_kernel<<<tiles, kChannelThreads, 0, stream>>>(rows.channels, runs, work, sums);
}

void measure_windows(const TokenRows& rows, const WindowRuns& windows, const WindowWork& work,
                     int64_t bins, float* median, int64_t* histogram, cudaStream_t stream) {
  if (windows.windows == 0) return;
  const Gpu gpu = current_gpu();
  const auto count = static_cast<unsigned>(windows.windows);
  // About as many blocks as run at a time, and no more than there are tokens for a block's warps.
  const unsigned wanted = blocks_of(gpu.multiprocessors, windows.windows);
  const unsigned most = blocks_of(windows.most_tokens, kWindowThreads / 32);
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
  add_histograms_kernel<<<blocks_of(bins, kThreads), kThreads, 0, stream>>>(
      work.histogram, windows.windows, bins, histogram);
}

}  // namespace actsweep::cuda
