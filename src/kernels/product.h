// The products with a layer's weights, in its dtype; where a CPU has no instructions for that, by
// way of float32.
#pragma once

#include <ATen/core/Tensor.h>

namespace actsweep {

/// out [n, width] = in [n, k] times weight [width, k] transposed, plus a bias [width] where there
/// is one. A weight without elements gives zeros and the bias.
void project(const at::Tensor& in, const at::Tensor& weight, const at::Tensor& bias,
             at::Tensor& out);

/// Rows of what a product reads, by what the model multiplies them; at 1 the rows themselves.
at::Tensor scaled(const at::Tensor& rows, double scale);

/// out [n, width] += in [n, k] times weight [width, k] transposed.
void add_project(const at::Tensor& in, const at::Tensor& weight, at::Tensor& out);

}  // namespace actsweep
