#include "measure/measure_kernels.h"

#include <cmath>

#include "measure/block_kernels.cuh"

namespace actsweep::cuda {
namespace {

constexpr int kThreads = 256;
constexpr uint32_t kInfinityBits = 0x7f800000;

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
    run_kernel(TokenRows rows, GroupRuns runs, RunSums sums) {
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

template <typename T>
__device__ void add_to(T* slot, int64_t at, T sum) {
  if (slot != nullptr) slot[at] += sum;
}

/// Adds the runs in their order; the slots of groups without a run are left as they are. Sums over
/// all tokens, and over those of a class, are those over the groups, added up.
__global__ void __launch_bounds__(kChannelThreads)
    add_runs_kernel(TokenRows rows, GroupRuns runs, RunSums work, Slots slots) {
  const int64_t channel = static_cast<int64_t>(blockIdx.x) * kChannelThreads + threadIdx.x;
  if (channel >= rows.channels) return;
  const bool counts = channel == 0;
  double sum = 0, square = 0;  // of one group
  double total = 0, total_square = 0, fourth = 0;
  float largest = 0;
  int64_t above = 0, count = 0, finite = 0;  // count: of one group
#pragma unroll 8
  for (int64_t run = 0; run < runs.runs; ++run) {
    const int64_t from = run * rows.channels + channel;
    const int64_t group = runs.group[run];
    sum += work.sum[from];
    square += work.square[from];
    count += work.count[run];
    fourth += work.fourth[from];
    largest = fmaxf(largest, work.largest[from]);
    above += work.above_6[from];
    if (run + 1 < runs.runs && runs.group[run + 1] == group) continue;
    const int64_t of_class = group % runs.classes;
    add_to(slots.role_sum, group * rows.channels + channel, sum);
    add_to(slots.role_sum_square, group * rows.channels + channel, square);
    add_to(slots.class_sum, of_class * rows.channels + channel, sum);
    add_to(slots.class_sum_square, of_class * rows.channels + channel, square);
    if (counts) {
      add_to(slots.role_count, group, count);
      add_to(slots.class_count, of_class, count);
    }
    total += sum;
    total_square += square;
    finite += count;
    sum = square = 0;
    count = 0;
  }
  if (counts) {
    add_to(slots.count, 0, finite);
    add_to(slots.nonfinite_tokens, 0, rows.tokens - finite);
  }
  add_to(slots.channel_sum, channel, total);
  add_to(slots.channel_sum_square, channel, total_square);
  add_to(slots.channel_sum_fourth, channel, fourth);
  add_to(slots.channel_count_above_6, channel, above);
  if (slots.channel_max_magnitude != nullptr) {
    float& to = slots.channel_max_magnitude[channel];
    to = fmaxf(to, largest);
  }
}

}  // namespace

void measure_tokens(const TokenRows& rows, const TokenColumns& columns, cudaStream_t stream) {
  if (rows.tokens == 0) return;
  token_kernel<<<static_cast<unsigned>(rows.tokens), kThreads, 0, stream>>>(rows, columns);
}

void sum_channels(const TokenRows& rows, const GroupRuns& runs, const RunSums& work,
                  const Slots& slots, cudaStream_t stream) {
  const unsigned tiles = blocks_of(rows.channels, kChannelThreads);
  if (runs.runs > 0) {
    const dim3 grid(tiles, static_cast<unsigned>(runs.runs));
    run_kernel<<<grid, kChannelThreads, 0, stream>>>(rows, runs, work);
  }
  add_runs_kernel<<<tiles, kChannelThreads, 0, stream>>>(rows, runs, work, slots);
}

}  // namespace actsweep::cuda
