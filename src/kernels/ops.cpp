#include "kernels/ops.h"

namespace actsweep {

#ifdef ACTSWEEP_WITH_CUDA
namespace device = cuda;
#else
namespace device = aten;
#endif

void normalise(const at::Tensor& residual, const Norm& norm, at::Tensor& out) {
  residual.is_cpu() ? cpu::normalise(residual, norm, out) : device::normalise(residual, norm, out);
}

void add_and_normalise(at::Tensor& residual, const at::Tensor& partial, const Norm& norm,
                       at::Tensor& out) {
  residual.is_cpu() ? cpu::add_and_normalise(residual, partial, norm, out)
                    : device::add_and_normalise(residual, partial, norm, out);
}

void add_rows(at::Tensor& residual, const at::Tensor& partial) {
  residual.is_cpu() ? cpu::add_rows(residual, partial) : device::add_rows(residual, partial);
}

void add_normalised(at::Tensor& residual, const at::Tensor& partial, const Norm& norm) {
  residual.is_cpu() ? cpu::add_normalised(residual, partial, norm)
                    : device::add_normalised(residual, partial, norm);
}

void normalise_heads(at::Tensor& qkv, const HeadRange& heads, const Norm& norm) {
  qkv.is_cpu() ? cpu::normalise_heads(qkv, heads, norm) : device::normalise_heads(qkv, heads, norm);
}

void rotate(at::Tensor& qkv, const RotaryHeads& heads, const RotaryTable& table) {
  qkv.is_cpu() ? cpu::rotate(qkv, heads, table) : device::rotate(qkv, heads, table);
}

void gate(const at::Tensor& gate_up, Activation activation, at::Tensor& hidden) {
  hidden.is_cpu() ? cpu::gate(gate_up, activation, hidden)
                  : device::gate(gate_up, activation, hidden);
}

void activate(at::Tensor& hidden, Activation activation) {
  hidden.is_cpu() ? cpu::activate(hidden, activation) : device::activate(hidden, activation);
}

}  // namespace actsweep
