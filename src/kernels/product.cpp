#include "kernels/product.h"

#include <ATen/ATen.h>

#include "kernels/product_instructions.h"
#include "kernels/product_widened.h"

namespace actsweep {

void project(const at::Tensor& in, const at::Tensor& weight, const at::Tensor& bias,
             at::Tensor& out) {
  if (weight.numel() == 0) {
    // A rank without heads or neurons adds nothing but a bias that it holds.
    bias.defined() ? out.copy_(bias.expand_as(out)) : out.zero_();
  } else if (widens_products(in.scalar_type(), in.device())) {
    project_widened(in, weight, bias, out);
  } else if (bias.defined()) {
    at::addmm_out(out, bias, in, weight.t());
  } else {
    at::mm_out(out, in, weight.t());
  }
}

at::Tensor scaled(const at::Tensor& rows, double scale) { return scale == 1 ? rows : rows * scale; }

void add_project(const at::Tensor& in, const at::Tensor& weight, at::Tensor& out) {
  if (weight.numel() == 0) return;
  if (widens_products(in.scalar_type(), in.device())) return project_widened(in, weight, out, out);
  out.addmm_(in, weight.t());
}

}  // namespace actsweep
