#include "kernels/ops_kernels.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

namespace actsweep::cuda {
namespace {

constexpr int kThreads = 256;

/// `kLength` elements, of which `kAligned` are read and written together.
template <typename T, int kLength, int kAligned = kLength>
struct alignas(sizeof(T) * kAligned) Pack {
  T value[kLength];
};

bool is_aligned(const void* data, int64_t bytes) {
  return reinterpret_cast<std::uintptr_t>(data) % bytes == 0;
}

__device__ float to_float(float x) { return x; }
__device__ float to_float(__half x) { return __half2float(x); }
__device__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
template <typename T>
__device__ T from_float(float x);
template <>
__device__ float from_float<float>(float x) {
  return x;
}
template <>
__device__ __half from_float<__half>(float x) {
  return __float2half_rn(x);
}
template <>
__device__ __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}

/// The sum over the threads of one row, for each of them, in a fixed order.
template <int kRowThreads>
__device__ float sum_of_row(float value) {
  for (int distance = 16; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(0xffffffff, value, distance);
  }
  if (kRowThreads == 32) return value;
  constexpr int kWarps = kRowThreads / 32;
  __shared__ float of_warp[kWarps];
  __syncthreads();  // the sum before this one has been read
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0;
  for (int warp = 0; warp < kWarps; ++warp) sum += of_warp[warp];
  return sum;
}

struct Nothing {};  // the addend's type where there is none

template <typename In, typename Addend, typename Out, int kRowThreads, int kLength>
__global__ void norm_kernel(NormCall call, Rows in_rows, Rows addend_rows, Rows out_rows) {
  constexpr bool kHasAddend = !std::is_same_v<Addend, Nothing>;
  const int64_t piece =
      static_cast<int64_t>(blockIdx.x) * (kThreads / kRowThreads) + threadIdx.x / kRowThreads;
  if (piece >= call.tokens * call.groups) return;  // all threads of the row together
  const int64_t token = piece / call.groups, group = piece % call.groups;
  const int lane = threadIdx.x % kRowThreads;
  const int packs = static_cast<int>(call.width / kLength);
  using InPack = Pack<In, kLength>;
  using OutPack = Pack<Out, kLength>;
  using FloatPack = Pack<float, kLength>;
  auto* in = reinterpret_cast<InPack*>(static_cast<In*>(in_rows.data) + token * in_rows.stride +
                                       group * call.width);
  auto* out = reinterpret_cast<OutPack*>(static_cast<Out*>(out_rows.data) +
                                         token * out_rows.stride + group * call.width);
  float sum = 0, square = 0;
  for (int i = lane; i < packs; i += kRowThreads) {
    InPack x = in[i];
    if constexpr (kHasAddend) {
      const auto* addend = reinterpret_cast<const Pack<Addend, kLength>*>(
          static_cast<const Addend*>(addend_rows.data) + token * addend_rows.stride);
      const auto more = addend[i];
      for (int j = 0; j < kLength; ++j) x.value[j] += to_float(more.value[j]);
      in[i] = x;
    }
    for (int j = 0; j < kLength; ++j) {
      const float value = to_float(x.value[j]);
      sum += value;
      square += value * value;
    }
  }
  const float width = static_cast<float>(call.width);
  float mean = 0;
  if (call.subtracts_mean) {
    mean = sum_of_row<kRowThreads>(sum) / width;
    square = 0;
    for (int i = lane; i < packs; i += kRowThreads) {
      const InPack x = in[i];
      for (int j = 0; j < kLength; ++j) {
        const float value = to_float(x.value[j]) - mean;
        square += value * value;
      }
    }
  }
  const float scale = rsqrtf(sum_of_row<kRowThreads>(square) / width + call.epsilon);
  const int64_t first = call.has_own_weights ? group * call.width : 0;
  const auto* weight = reinterpret_cast<const FloatPack*>(call.weight + first);
  const auto* bias =
      call.bias == nullptr ? nullptr : reinterpret_cast<const FloatPack*>(call.bias + first);
  for (int i = lane; i < packs; i += kRowThreads) {
    const InPack x = in[i];
    const FloatPack w = weight[i];
    OutPack y;
    if (call.is_sum) y = out[i];
    for (int j = 0; j < kLength; ++j) {
      float value = (to_float(x.value[j]) - mean) * scale * (w.value[j] + call.offset);
      if (bias != nullptr) value += bias[i].value[j];
      if (call.is_sum) value += to_float(y.value[j]);
      y.value[j] = from_float<Out>(value);
    }
    out[i] = y;
  }
}

template <typename In, typename Addend, typename Out, int kRowThreads, int kLength>
void launch_norm(const NormCall& call, const Rows& in, const Rows& addend, const Rows& out,
                 cudaStream_t stream) {
  constexpr int64_t kPieces = kThreads / kRowThreads;
  const int64_t blocks = (call.tokens * call.groups + kPieces - 1) / kPieces;
  norm_kernel<In, Addend, Out, kRowThreads, kLength>
      <<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(call, in, addend, out);
}

template <typename In, typename Addend, typename Out>
void norm(const NormCall& call, const Rows& in, const Rows& addend, const Rows& out,
          cudaStream_t stream) {
  constexpr int64_t kLength = 4;
  const bool is_packed =
      call.width % kLength == 0 && in.stride % kLength == 0 && out.stride % kLength == 0 &&
      addend.stride % kLength == 0 && is_aligned(in.data, 16) && is_aligned(out.data, 16) &&
      is_aligned(addend.data, 16) && is_aligned(call.weight, 16) && is_aligned(call.bias, 16);
  const bool is_wide = call.width > 512;
  if (is_packed) {
    is_wide ? launch_norm<In, Addend, Out, kThreads, 4>(call, in, addend, out, stream)
            : launch_norm<In, Addend, Out, 32, 4>(call, in, addend, out, stream);
  } else {
    is_wide ? launch_norm<In, Addend, Out, kThreads, 1>(call, in, addend, out, stream)
            : launch_norm<In, Addend, Out, 32, 1>(call, in, addend, out, stream);
  }
}

/// Calls `run` with a value of the element's type.
template <typename Run>
void with_type(Element type, const Run& run) {
  switch (type) {
    case Element::kFloat:
      return run(float{});
    case Element::kHalf:
      return run(__half{});
    case Element::kBfloat16:
      return run(__nv_bfloat16{});
  }
}

/// `kLength` pairs a thread.
template <typename T, int kLength>
__global__ void rotate_kernel(RotateCall call, Rows rows) {
  using FloatPack = Pack<float, kLength>;
  const int64_t index = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const auto packs = static_cast<unsigned>(call.half / kLength);
  const int64_t head_index = index / packs;
  if (head_index >= call.tokens * call.heads) return;
  const auto pair = static_cast<int>(index - head_index * packs) * kLength;
  const int64_t token = head_index / static_cast<unsigned>(call.heads);
  const int64_t position = token % static_cast<unsigned>(call.positions);
  T* head = static_cast<T*>(rows.data) + token * rows.stride +
            (head_index - token * call.heads) * call.width;
  const auto cosine = *reinterpret_cast<const FloatPack*>(call.cos + position * call.half + pair);
  const auto sine = *reinterpret_cast<const FloatPack*>(call.sin + position * call.half + pair);
  if (call.is_interleaved) {
    using TPack = Pack<T, 2 * kLength, kLength == 1 ? 1 : 2 * kLength>;  // heads may be odd
    auto* pairs = reinterpret_cast<TPack*>(head + 2 * pair);
    TPack x = *pairs;
    for (int j = 0; j < kLength; ++j) {
      const float a = to_float(x.value[2 * j]), b = to_float(x.value[2 * j + 1]);
      x.value[2 * j] = from_float<T>(a * cosine.value[j] - b * sine.value[j]);
      x.value[2 * j + 1] = from_float<T>(b * cosine.value[j] + a * sine.value[j]);
    }
    *pairs = x;
    return;
  }
  using TPack = Pack<T, kLength>;
  auto* first = reinterpret_cast<TPack*>(head + pair);
  auto* second = reinterpret_cast<TPack*>(head + call.half + pair);
  TPack x = *first, y = *second;
  for (int j = 0; j < kLength; ++j) {
    const float a = to_float(x.value[j]), b = to_float(y.value[j]);
    x.value[j] = from_float<T>(a * cosine.value[j] - b * sine.value[j]);
    y.value[j] = from_float<T>(b * cosine.value[j] + a * sine.value[j]);
  }
  *first = x;
  *second = y;
}

template <typename T, int kLength>
void launch_rotate(const RotateCall& call, const Rows& rows, cudaStream_t stream) {
  const int64_t packs = call.tokens * call.heads * (call.half / kLength);
  const auto blocks = static_cast<unsigned>((packs + kThreads - 1) / kThreads);
  rotate_kernel<T, kLength><<<blocks, kThreads, 0, stream>>>(call, rows);
}

template <Activation kActivation>
__device__ float apply(float x) {
  if constexpr (kActivation == Activation::kSilu) {
    return x / (1 + expf(-x));
  } else if constexpr (kActivation == Activation::kGelu) {
    return x * normcdff(x);
  } else if constexpr (kActivation == Activation::kRelu) {
    return x < 0 ? 0 : x;  // NaN stays
  } else if constexpr (kActivation == Activation::kQuickGelu) {
    return x / (1 + expf(-1.702f * x));
  } else if constexpr (kActivation == Activation::kSquaredRelu) {
    return x < 0 ? 0 : x * x;
  } else {
    constexpr float kScale = 0.7978845608028654f;  // sqrt(2 / pi)
    return 0.5f * x * (1 + tanhf(kScale * (x + 0.044715f * x * x * x)));
  }
}

template <typename T, Activation kActivation, int kLength>
__global__ void activate_kernel(ActivateCall call, Rows in_rows, Rows out_rows) {
  using TPack = Pack<T, kLength>;
  const int64_t packs = call.width / kLength;
  const int64_t token = blockIdx.y + static_cast<int64_t>(gridDim.y) * blockIdx.z;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= packs || token >= call.tokens) return;
  const auto* in =
      reinterpret_cast<const TPack*>(static_cast<const T*>(in_rows.data) + token * in_rows.stride);
  auto* out = reinterpret_cast<TPack*>(static_cast<T*>(out_rows.data) + token * out_rows.stride);
  const TPack x = in[i];
  TPack y;
  if (call.is_gated) {
    const TPack up = in[packs + i];
    for (int j = 0; j < kLength; ++j) {
      y.value[j] = from_float<T>(apply<kActivation>(to_float(x.value[j])) * to_float(up.value[j]));
    }
  } else {
    for (int j = 0; j < kLength; ++j) {
      y.value[j] = from_float<T>(apply<kActivation>(to_float(x.value[j])));
    }
  }
  out[i] = y;
}

template <typename T, Activation kActivation, int kLength>
void launch_activate(const ActivateCall& call, const Rows& in, const Rows& out,
                     cudaStream_t stream) {
  constexpr int64_t kMostRows = 65535;  // of a grid's second dimension
  const int64_t packs = call.width / kLength;
  const int64_t rows = call.tokens < kMostRows ? call.tokens : kMostRows;
  const dim3 grid(static_cast<unsigned>((packs + kThreads - 1) / kThreads),
                  static_cast<unsigned>(rows),
                  static_cast<unsigned>((call.tokens + rows - 1) / rows));
  activate_kernel<T, kActivation, kLength><<<grid, kThreads, 0, stream>>>(call, in, out);
}

template <typename T, Activation kActivation>
void activate(const ActivateCall& call, const Rows& in, const Rows& out, cudaStream_t stream) {
  constexpr int kLength = 16 / sizeof(T);
  const bool is_packed = call.width % kLength == 0 && in.stride % kLength == 0 &&
                         out.stride % kLength == 0 && is_aligned(in.data, 16) &&
                         is_aligned(out.data, 16);
  is_packed ? launch_activate<T, kActivation, kLength>(call, in, out, stream)
            : launch_activate<T, kActivation, 1>(call, in, out, stream);
}

template <typename T>
void activate(const ActivateCall& call, const Rows& in, const Rows& out, cudaStream_t stream) {
  switch (call.activation) {
    case Activation::kSilu:
      return activate<T, Activation::kSilu>(call, in, out, stream);
    case Activation::kGelu:
      return activate<T, Activation::kGelu>(call, in, out, stream);
    case Activation::kGeluTanh:
      return activate<T, Activation::kGeluTanh>(call, in, out, stream);
    case Activation::kRelu:
      return activate<T, Activation::kRelu>(call, in, out, stream);
    case Activation::kQuickGelu:
      return activate<T, Activation::kQuickGelu>(call, in, out, stream);
    case Activation::kSquaredRelu:
      return activate<T, Activation::kSquaredRelu>(call, in, out, stream);
  }
}

}  // namespace

void norm_rows(const NormCall& call, const Rows& in, const Rows* addend, const Rows& out,
               cudaStream_t stream) {
  if (call.tokens == 0 || call.groups == 0 || call.width == 0) return;
  const Rows none;
  with_type(out.type, [&](auto out_value) {
    using Out = decltype(out_value);
    if (addend != nullptr) {
      addend->type == Element::kFloat ? norm<float, float, Out>(call, in, *addend, out, stream)
                                      : norm<float, Out, Out>(call, in, *addend, out, stream);
    } else if (in.type == Element::kFloat) {
      norm<float, Nothing, Out>(call, in, none, out, stream);
    } else if (in.type == out.type) {
      norm<Out, Nothing, Out>(call, in, none, out, stream);
    } else {
      with_type(in.type, [&](auto in_value) {
        norm<decltype(in_value), Nothing, float>(call, in, none, out, stream);
      });
    }
  });
}

void rotate_rows(const RotateCall& call, const Rows& rows, cudaStream_t stream) {
  if (call.tokens * call.heads * call.half == 0) return;
  constexpr int kLength = 4;
  const bool is_packed = call.half % kLength == 0 && call.width % kLength == 0 &&
                         rows.stride % kLength == 0 && is_aligned(rows.data, 32) &&
                         is_aligned(call.cos, 16) && is_aligned(call.sin, 16);
  const bool is_paired = call.width % (2 * kLength) == 0 && rows.stride % (2 * kLength) == 0;
  with_type(rows.type, [&](auto value) {
    using T = decltype(value);
    is_packed && (is_paired || !call.is_interleaved) ? launch_rotate<T, kLength>(call, rows, stream)
                                                     : launch_rotate<T, 1>(call, rows, stream);
  });
}

void activate_rows(const ActivateCall& call, const Rows& in, const Rows& out, cudaStream_t stream) {
  if (call.tokens == 0 || call.width == 0) return;
  with_type(in.type, [&](auto value) { activate<decltype(value)>(call, in, out, stream); });
}

}  // namespace actsweep::cuda
