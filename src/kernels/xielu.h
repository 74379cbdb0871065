// xIELU (arXiv 2411.13010), an activation whose numbers each layer has learned.
#pragma once

#include <ATen/core/Tensor.h>

namespace actsweep {

/// hidden [n, F] of any dtype, in place: alpha_p x^2 + beta x above 0, else alpha_n (exp(min(x,
/// epsilon)) - 1 - x) + beta x, where alpha_p = softplus(a) and alpha_n = beta + softplus(b).
/// `numbers`: [4] float32: a, b, beta, epsilon.
void xielu(const at::Tensor& numbers, at::Tensor& hidden);

}  // namespace actsweep
