#include "model/ops.h"

namespace actsweep {

void normalise(const at::Tensor& residual, const Norm& norm, at::Tensor& out) {
  residual.is_cpu() ? cpu::normalise(residual, norm, out) : aten::normalise(residual, norm, out);
}

void add_and_normalise(at::Tensor& residual, const at::Tensor& partial, const Norm& norm,
                       at::Tensor& out) {
  residual.is_cpu() ? cpu::add_and_normalise(residual, partial, norm, out)
                    : aten::add_and_normalise(residual, partial, norm, out);
}

void add_rows(at::Tensor& residual, const at::Tensor& partial) {
  residual.is_cpu() ? cpu::add_rows(residual, partial) : aten::add_rows(residual, partial);
}

void add_normalised(at::Tensor& residual, const at::Tensor& partial, const Norm& norm) {
  residual.is_cpu() ? cpu::add_normalised(residual, partial, norm)
                    : aten::add_normalised(residual, partial, norm);
}

void normalise_heads(at::Tensor& qkv, const HeadRange& heads, const Norm& norm) {
  qkv.is_cpu() ? cpu::normalise_heads(qkv, heads, norm) : aten::normalise_heads(qkv, heads, norm);
}

void rotate(at::Tensor& qkv, const RotaryHeads& heads, const RotaryTable& table) {
  qkv.is_cpu() ? cpu::rotate(qkv, heads, table) : aten::rotate(qkv, heads, table);
}

void gate(const at::Tensor& gate_up, Activation activation, at::Tensor& hidden) {
  hidden.is_cpu() ? cpu::gate(gate_up, activation, hidden)
                  : aten::gate(gate_up, activation, hidden);
}

void activate(at::Tensor& hidden, Activation activation) {
  hidden.is_cpu() ? cpu::activate(hidden, activation) : aten::activate(hidden, activation);
}

}  // namespace actsweep
