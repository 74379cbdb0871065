#include "model/ops.h"

namespace actsweep {

void rms_norm(const at::Tensor& residual, const Norm& norm, at::Tensor& out) {
  residual.is_cpu() ? cpu::rms_norm(residual, norm, out) : aten::rms_norm(residual, norm, out);
}

void add_and_norm(at::Tensor& residual, const at::Tensor& partial, const Norm& norm,
                  at::Tensor& out) {
  residual.is_cpu() ? cpu::add_and_norm(residual, partial, norm, out)
                    : aten::add_and_norm(residual, partial, norm, out);
}

void add_rows(at::Tensor& residual, const at::Tensor& partial) {
  residual.is_cpu() ? cpu::add_rows(residual, partial) : aten::add_rows(residual, partial);
}

void rotate(at::Tensor& qkv, const RotaryHeads& heads, const RotaryTable& table) {
  qkv.is_cpu() ? cpu::rotate(qkv, heads, table) : aten::rotate(qkv, heads, table);
}

void gate(const at::Tensor& gate_up, at::Tensor& hidden) {
  hidden.is_cpu() ? cpu::gate(gate_up, hidden) : aten::gate(gate_up, hidden);
}

}  // namespace actsweep
