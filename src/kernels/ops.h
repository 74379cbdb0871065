// The element-wise steps of a layer, each in one pass over its rows: one table of them per device.
//
// For CPUs: vectorised kernels, threaded over rows. For GPUs: CUDA kernels. For any device: ATen's
// operators with the same results up to rounding, which both are tested against. Arithmetic is
// float32 whatever the dtype of the rows.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "checkpoint/architecture.h"
#include "kernels/rotary.h"
#include "kernels/weighted_rows.h"

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

struct RowOps {
  /// residual [n, C] float32 -> out [n, C] of any dtype; `out` may be the residual itself.
  void (*normalise)(const at::Tensor& residual, const Norm& norm, at::Tensor& out);
  /// residual [n, C] float32 += partial [n, C]; out = the residual's norm.
  void (*add_and_normalise)(at::Tensor& residual, const at::Tensor& partial, const Norm& norm,
                            at::Tensor& out);
  /// residual [n, C] float32 += partial [n, C].
  void (*add_rows)(at::Tensor& residual, const at::Tensor& partial);
  /// residual [n, C] float32 += the norm of partial [n, C].
  void (*add_normalised)(at::Tensor& residual, const at::Tensor& partial, const Norm& norm);
  /// Normalises each head of qkv [n, width] in place.
  void (*normalise_heads)(at::Tensor& qkv, const HeadRange& heads, const Norm& norm);
  /// Rotates the first channels of the heads of qkv [n, width] in place.
  void (*rotate)(at::Tensor& qkv, const RotaryHeads& heads, const RotaryTable& table);
  /// gate_up [n, 2F] -> hidden [n, F] = activation(gate) * up.
  void (*gate)(const at::Tensor& gate_up, Activation activation, at::Tensor& hidden);
  /// hidden [n, F] in place.
  void (*activate)(at::Tensor& hidden, Activation activation);
  /// sum [n, C] float32 += weight * value of the places that the run holds, in rising order.
  void (*add_weighted)(at::Tensor& sum, const WeightedRows& rows);
};

extern const RowOps kCpuRowOps;
extern const RowOps kCudaRowOps;  // in a build with CUDA
extern const RowOps kAtenRowOps;  // for any device

/// The table for tensors of a device; a build without CUDA has ATen's for all but CPUs.
const RowOps& row_ops_of(at::Device device);

}  // namespace actsweep
