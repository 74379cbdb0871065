#include <ATen/ATen.h>

#include "model/ops.h"

namespace actsweep::aten {

void rms_norm(const at::Tensor& residual, const Norm& norm, at::Tensor& out) {
  const auto scale = (residual.square().mean(1, /*keepdim=*/true) + norm.epsilon).rsqrt();
  out.copy_(residual * scale * norm.weight);
}

void add_and_norm(at::Tensor& residual, const at::Tensor& partial, const Norm& norm,
                  at::Tensor& out) {
  residual.add_(partial);
  aten::rms_norm(residual, norm, out);
}

void add_rows(at::Tensor& residual, const at::Tensor& partial) { residual.add_(partial); }

void rotate(at::Tensor& qkv, const RotaryHeads& heads, const RotaryTable& table) {
  const int64_t half = heads.width / 2;
  // [B, T, heads, D]
  auto rows = qkv.narrow(1, 0, heads.heads * heads.width)
                  .view({-1, heads.positions, heads.heads, heads.width});
  const auto cos = table.cos.narrow(0, 0, heads.positions).unsqueeze(1);  // [T, 1, D/2]
  const auto sin = table.sin.narrow(0, 0, heads.positions).unsqueeze(1);
  const auto first = rows.narrow(3, 0, half).to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  const auto second = rows.narrow(3, half, half).to(at::kFloat, false, true);
  rows.narrow(3, 0, half).copy_(first * cos - second * sin);
  rows.narrow(3, half, half).copy_(second * cos + first * sin);
}

void gate(const at::Tensor& gate_up, at::Tensor& hidden) {
  const int64_t width = hidden.size(1);
  const auto gates = gate_up.narrow(1, 0, width).to(at::kFloat);
  hidden.copy_(at::silu(gates) * gate_up.narrow(1, width, width).to(at::kFloat));
}

}  // namespace actsweep::aten
