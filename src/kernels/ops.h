// The element-wise steps of a layer, each in one pass over its rows.
//
// On CPU tensors: vectorised kernels, threaded over rows. On CUDA tensors: CUDA kernels. Under
// `aten`, for any device: ATen's operators with the same results up to rounding, which both are
// tested against. Arithmetic is float32 whatever the dtype of the rows.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "checkpoint/architecture.h"
#include "kernels/rotary.h"

namespace actsweep {

/// One norm: scale = 1 / sqrt(mean(x^2) + epsilon), or of x less its mean for LayerNorm; out =
/// x * scale * (weight + offset) + bias.
struct Norm {
  NormKind kind = NormKind::kRms;
  at::Tensor weight;  // float32 [C]; of heads [D], or [heads * D] where each has its own
  at::Tensor bias;    // the same or undefined
  double epsilon = 1e-6;
  double offset = 0;
};

/// The query and key heads in the rows of a fused projection.
struct RotaryHeads {
  int64_t heads;      // query and key heads, which stand first in a row
  int64_t width;      // D
  int64_t positions;  // T: row r stands at position r % T
};

/// Heads [first, first + count) in the rows of a fused projection.
struct HeadRange {
  int64_t first;
  int64_t count;
  int64_t width;  // D
};

/// residual [n, C] float32 -> out [n, C] of any dtype; `out` may be the residual itself.
void normalise(const at::Tensor& residual, const Norm& norm, at::Tensor& out);
/// residual [n, C] float32 += partial [n, C]; out = the residual's norm.
void add_and_normalise(at::Tensor& residual, const at::Tensor& partial, const Norm& norm,
                       at::Tensor& out);
/// residual [n, C] float32 += partial [n, C].
void add_rows(at::Tensor& residual, const at::Tensor& partial);
/// residual [n, C] float32 += the norm of partial [n, C].
void add_normalised(at::Tensor& residual, const at::Tensor& partial, const Norm& norm);
/// Normalises each head of qkv [n, width] in place.
void normalise_heads(at::Tensor& qkv, const HeadRange& heads, const Norm& norm);
/// Rotates the first channels of the heads of qkv [n, width] in place.
void rotate(at::Tensor& qkv, const RotaryHeads& heads, const RotaryTable& table);
/// gate_up [n, 2F] -> hidden [n, F] = activation(gate) * up.
void gate(const at::Tensor& gate_up, Activation activation, at::Tensor& hidden);
/// hidden [n, F] in place.
void activate(at::Tensor& hidden, Activation activation);

namespace aten {
void normalise(const at::Tensor& residual, const Norm& norm, at::Tensor& out);
void add_and_normalise(at::Tensor& residual, const at::Tensor& partial, const Norm& norm,
                       at::Tensor& out);
void add_rows(at::Tensor& residual, const at::Tensor& partial);
void add_normalised(at::Tensor& residual, const at::Tensor& partial, const Norm& norm);
void normalise_heads(at::Tensor& qkv, const HeadRange& heads, const Norm& norm);
void rotate(at::Tensor& qkv, const RotaryHeads& heads, const RotaryTable& table);
void gate(const at::Tensor& gate_up, Activation activation, at::Tensor& hidden);
void activate(at::Tensor& hidden, Activation activation);
}  // namespace aten

namespace cpu {
void normalise(const at::Tensor& residual, const Norm& norm, at::Tensor& out);
void add_and_normalise(at::Tensor& residual, const at::Tensor& partial, const Norm& norm,
                       at::Tensor& out);
void add_rows(at::Tensor& residual, const at::Tensor& partial);
void add_normalised(at::Tensor& residual, const at::Tensor& partial, const Norm& norm);
void normalise_heads(at::Tensor& qkv, const HeadRange& heads, const Norm& norm);
void rotate(at::Tensor& qkv, const RotaryHeads& heads, const RotaryTable& table);
void gate(const at::Tensor& gate_up, Activation activation, at::Tensor& hidden);
void activate(at::Tensor& hidden, Activation activation);
}  // namespace cpu

namespace cuda {
void normalise(const at::Tensor& residual, const Norm& norm, at::Tensor& out);
void add_and_normalise(at::Tensor& residual, const at::Tensor& partial, const Norm& norm,
                       at::Tensor& out);
void add_rows(at::Tensor& residual, const at::Tensor& partial);
void add_normalised(at::Tensor& residual, const at::Tensor& partial, const Norm& norm);
void normalise_heads(at::Tensor& qkv, const HeadRange& heads, const Norm& norm);
void rotate(at::Tensor& qkv, const RotaryHeads& heads, const RotaryTable& table);
void gate(const at::Tensor& gate_up, Activation activation, at::Tensor& hidden);
void activate(at::Tensor& hidden, Activation activation);
}  // namespace cuda

}  // namespace actsweep
