// The participation ratio of a sequence's rows: in how many directions they lie.
//
// (tr K)² / tr K² of the Gram matrix K = X Xᵀ is (Σ λ)² / Σ λ² over its eigenvalues: 1 where all
// rows are parallel, n where n rows of one norm are orthogonal (arXiv 2510.06477 has the entropy
// of the same spectrum). tr K² is the sum of K's squares, and that of Xᵀ X, too: no eigenvalue is
// computed.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace actsweep {

/// Of `rows` [n, C] float32 on any device: [2] float64 there: with rows as they are, and with each
/// divided by its Euclidean norm, where one that is 0 stays 0. NaN where a value is not finite or
/// all are 0. Products are float32, K's diagonal and sums of squares float64.
at::Tensor participation_of(const at::Tensor& rows);

/// What it needs beside the rows.
int64_t participation_bytes(int64_t positions, int64_t channels, bool is_gpu);
/// Multiplications and additions in the products of a sequence.
double participation_operations(int64_t positions, int64_t channels);

}  // namespace actsweep
