// Products of matrices for the sequences of a group.
//
// On a GPU one product. On a CPU one for each sequence, of matrices that begin where a cache line
// does: there a library rounds a product by how many go together, and by alignment.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace actsweep {

/// a [S', H, m, k] times b [S', H, k, n] -> [S', H, m, n].
at::Tensor products_of(const at::Tensor& a, const at::Tensor& b);

/// a [m, k] times b [k, n] -> out [m, n].
void write_product(const at::Tensor& a, const at::Tensor& b, at::Tensor& out);

/// A tensor of the same values and strides that begins where a cache line does.
at::Tensor aligned(const at::Tensor& matrix);

/// The products of the sequences of a group, [H, m, n] each, as one tensor.
at::Tensor stacked(const std::vector<at::Tensor>& products);

}  // namespace actsweep
