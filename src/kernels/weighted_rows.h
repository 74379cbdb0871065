// Rows that are weighted and added to a sum, each row's in a fixed order: what routed experts give.
//
// On CPU tensors: a vectorised kernel, threaded over rows. By ATen's operators: the same bits.
// ops_cuda.cpp has the CUDA kernel's. A product is rounded before it is added.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace actsweep {

/// A run of a list of rows, and which of the list each row of the sum takes.
struct WeightedRows {
  at::Tensor values;     // [count, C] of any dtype: places [first, first + count) of the list
  int64_t first = 0;     // of the list
  at::Tensor weight;     // [list] float32
  at::Tensor places_of;  // [n, k] int64: places in the list, rising in each row
};

/// RowOps::add_weighted.
void add_weighted_on_cpu(at::Tensor& sum, const WeightedRows& rows);
void add_weighted_by_aten(at::Tensor& sum, const WeightedRows& rows);

}  // namespace actsweep
