#include <ATen/ATen.h>

#include "kernels/ops.h"

namespace actsweep::aten {
namespace {

/// rows [..., C] of any dtype -> float32, normalised over the last axis.
at::Tensor normed(const at::Tensor& rows, const Norm& norm) {
  auto x = rows.to(at::kFloat);
  if (norm.kind == NormKind::kLayer) x = x - x.mean(-1, /*keepdim=*/true);
  x = x * (x.square().mean(-1, /*keepdim=*/true) + norm.epsilon).rsqrt();
  x = x * (norm.weight + norm.offset);
  return norm.bias.defined() ? x + norm.bias : x;
}

at::Tensor activated(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kSilu:
      return at::silu(x);
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kRelu:
      return at::relu(x);
    case Activation::kQuickGelu:
      return x * at::sigmoid(x * 1.702);
    case Activation::kSquaredRelu:
      return at::relu(x).square();
  }
  return x;
}

void normalise(const at::Tensor& residual, const Norm& norm, at::Tensor& out) {
  out.copy_(normed(residual, norm));
}

void add_and_normalise(at::Tensor& residual, const at::Tensor& partial, const Norm& norm,
                       at::Tensor& out) {
  residual.add_(partial);
  out.copy_(normed(residual, norm));
}

void add_rows(at::Tensor& residual, const at::Tensor& partial) { residual.add_(partial); }

void add_normalised(at::Tensor& residual, const at::Tensor& partial, const Norm& norm) {
  residual.add_(normed(partial, norm));
}

void normalise_heads(at::Tensor& qkv, const HeadRange& heads, const Norm& norm) {
  auto rows = qkv.narrow(1, heads.first * heads.width, heads.count * heads.width)
                  .view({qkv.size(0), heads.count, heads.width});
  auto by_head = norm;  // [D], or a row for each head
  by_head.weight = norm.weight.view({-1, heads.width});
  if (norm.bias.defined()) by_head.bias = norm.bias.view({-1, heads.width});
  rows.copy_(normed(rows, by_head));
}

void rotate(at::Tensor& qkv, const RotaryHeads& heads, const RotaryTable& table) {
  const int64_t half = table.cos.size(1);
  // [B, T, heads, D]
  auto rows = qkv.narrow(1, 0, heads.heads * heads.width)
                  .view({-1, heads.positions, heads.heads, heads.width})
                  .narrow(3, 0, 2 * half);
  const auto cos = table.cos.narrow(0, 0, heads.positions).unsqueeze(1);  // [T, 1, half]
  const auto sin = table.sin.narrow(0, 0, heads.positions).unsqueeze(1);
  const auto part = [&](int64_t index) {
    return table.is_interleaved ? rows.slice(3, index, 2 * half, 2)
                                : rows.narrow(3, index * half, half);
  };
  auto first = part(0), second = part(1);
  const auto a = first.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  const auto b = second.to(at::kFloat, false, true);
  first.copy_(a * cos - b * sin);
  second.copy_(b * cos + a * sin);
}

void gate(const at::Tensor& gate_up, Activation activation, at::Tensor& hidden) {
  const int64_t width = hidden.size(1);
  const auto gates = activated(gate_up.narrow(1, 0, width).to(at::kFloat), activation);
  hidden.copy_(gates * gate_up.narrow(1, width, width).to(at::kFloat));
}

void activate(at::Tensor& hidden, Activation activation) {
  hidden.copy_(activated(hidden.to(at::kFloat), activation));
}

}  // namespace
}  // namespace actsweep::aten

namespace actsweep {

constinit const RowOps kAtenRowOps = {
    .normalise = aten::normalise,
    .add_and_normalise = aten::add_and_normalise,
    .add_rows = aten::add_rows,
    .add_normalised = aten::add_normalised,
    .normalise_heads = aten::normalise_heads,
    .rotate = aten::rotate,
    .gate = aten::gate,
    .activate = aten::activate,
    .add_weighted = add_weighted_by_aten,
};

}  // namespace actsweep
