#include "model/product.h"

#include <ATen/ATen.h>

namespace actsweep {

void project(const at::Tensor& in, const at::Tensor& weight, const at::Tensor& bias,
             at::Tensor& out) {
  if (weight.numel() == 0) {
    // A rank without heads or neurons adds nothing but a bias that it holds.
    bias.defined() ? out.copy_(bias.expand_as(out)) : out.zero_();
  } else if (bias.defined()) {
    at::addmm_out(out, bias, in, weight.t());
  } else {
    at::mm_out(out, in, weight.t());
  }
}

void add_project(const at::Tensor& in, const at::Tensor& weight, at::Tensor& out) {
  if (weight.numel() > 0) out.addmm_(in, weight.t());
}

}  // namespace actsweep
