// The element-wise steps of a layer, each in one pass over its rows.
//
// On CPU tensors: vectorised kernels, threaded over rows. On other devices, and under `aten` for
// any: ATen operators with the same results up to rounding. Arithmetic is float32 whatever the
// dtype of the rows.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/rotary.h"

namespace actsweep {

/// RMSNorm (arXiv 1910.07467): out = x / sqrt(mean(x^2) + epsilon) * weight.
struct Norm {
  at::Tensor weight;  // [C] float32
  double epsilon;
};

/// The query and key heads in the rows of a fused projection.
struct RotaryHeads {
  int64_t heads;      // query and key heads, which stand first in a row
  int64_t width;      // D
  int64_t positions;  // T: row r stands at position r % T
};

/// residual [n, C] float32 -> out [n, C] of any dtype.
void rms_norm(const at::Tensor& residual, const Norm& norm, at::Tensor& out);
/// residual [n, C] float32 += partial [n, C]; out = rms_norm(residual).
void add_and_norm(at::Tensor& residual, const at::Tensor& partial, const Norm& norm,
                  at::Tensor& out);
/// residual [n, C] float32 += partial [n, C].
void add_rows(at::Tensor& residual, const at::Tensor& partial);
/// Rotates the heads of qkv [n, width] in place; channel i pairs with i + D/2.
void rotate(at::Tensor& qkv, const RotaryHeads& heads, const RotaryTable& table);
/// gate_up [n, 2F] -> hidden [n, F] = silu(gate) * up.
void gate(const at::Tensor& gate_up, at::Tensor& hidden);

namespace aten {
void rms_norm(const at::Tensor& residual, const Norm& norm, at::Tensor& out);
void add_and_norm(at::Tensor& residual, const at::Tensor& partial, const Norm& norm,
                  at::Tensor& out);
void add_rows(at::Tensor& residual, const at::Tensor& partial);
void rotate(at::Tensor& qkv, const RotaryHeads& heads, const RotaryTable& table);
void gate(const at::Tensor& gate_up, at::Tensor& hidden);
}  // namespace aten

namespace cpu {
void rms_norm(const at::Tensor& residual, const Norm& norm, at::Tensor& out);
void add_and_norm(at::Tensor& residual, const at::Tensor& partial, const Norm& norm,
                  at::Tensor& out);
void add_rows(at::Tensor& residual, const at::Tensor& partial);
void rotate(at::Tensor& qkv, const RotaryHeads& heads, const RotaryTable& table);
void gate(const at::Tensor& gate_up, at::Tensor& hidden);
}  // namespace cpu

}  // namespace actsweep
