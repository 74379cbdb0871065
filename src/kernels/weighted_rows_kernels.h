// The CUDA kernel of weighted_rows.h on raw device memory; weighted_rows_cuda.cpp gives it tensors.
#pragma once

#include "kernels/ops_kernels.h"

namespace actsweep::cuda {

/// What add_weighted takes: `values` and the sum without gaps between rows.
struct WeightedCall {
  int64_t tokens;            // rows of the sum
  int64_t width;             // C
  int64_t chosen;            // places of a row
  int64_t first;             // place of the first value
  int64_t count;             // values
  const float* weight;       // [list]
  const int64_t* places_of;  // [tokens, chosen]
};

/// Enqueues on `stream` and returns.
void add_weighted_rows(const WeightedCall& call, const Rows& values, float* sum,
                       cudaStream_t stream);

}  // namespace actsweep::cuda
