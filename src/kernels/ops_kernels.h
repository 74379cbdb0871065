// The element-wise steps of a layer as CUDA kernels on raw device memory; ops_cuda.cpp gives them
// tensors.
//
// Every function enqueues on `stream` and returns. Arithmetic is float32 whatever the elements are.
// A launch that CUDA refuses shows at the next check of the stream (ops_cuda.cpp asks after each).
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "checkpoint/architecture.h"

namespace actsweep::cuda {

enum class Element { kFloat, kHalf, kBfloat16 };

/// Rows of elements on the device, `stride` elements apart.
struct Rows {
  void* data = nullptr;
  int64_t stride = 0;
  Element type = Element::kFloat;
};

/// Norms of `tokens` rows that hold `groups` pieces of `width` elements each, one after another.
struct NormCall {
  int64_t tokens = 0;
  int64_t groups = 1;
  int64_t width = 0;
  const float* weight = nullptr;  // [width], or [groups * width] where each has its own
  const float* bias = nullptr;    // the same, or null
  bool has_own_weights = false;
  bool subtracts_mean = false;
  float epsilon = 0;
  float offset = 0;     // added to the weight
  bool is_sum = false;  // out += the norm
};

/// out = norm(in). With an addend: in += addend (in is float32), and out = the norm of that.
/// `out` may be `in`. Combinations: in or out is float32, or both have one type; an addend has the
/// type of `out` or float32.
void norm_rows(const NormCall& call, const Rows& in, const Rows* addend, const Rows& out,
               cudaStream_t stream);

/// Rotates the first 2 * half channels of each head, in place. cos, sin: [positions, half].
struct RotateCall {
  int64_t tokens;
  int64_t positions;  // token t stands at t % positions
  int64_t heads;
  int64_t width;
  int64_t half;
  bool is_interleaved;
  const float* cos;
  const float* sin;
};
void rotate_rows(const RotateCall& call, const Rows& rows, cudaStream_t stream);

/// out [tokens, width] = activation(in [:, :width]) * in [:, width:]; without `is_gated`
/// activation(in). `out` may be `in` where it is not gated. Both have one type.
struct ActivateCall {
  int64_t tokens;
  int64_t width;
  Activation activation;
  bool is_gated;
};
void activate_rows(const ActivateCall& call, const Rows& in, const Rows& out, cudaStream_t stream);

}  // namespace actsweep::cuda
