// Largest magnitude, sum, sum of squares and signed range of each channel over runs of rows: what
// quantizers ask of the inputs of a linear layer.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace actsweep {

/// Runs of rows that stand one after the other in a list, of which some count.
struct RowRuns {
  std::vector<int64_t> first;  // [runs + 1]: of the list
  std::vector<int64_t> begin;  // [runs or more]: where the rows of a run stand in a tensor
  at::Tensor is_kept;          // [list] bool
};

/// Places [runs, C] that are added to.
struct ChannelSums {
  at::Tensor largest;       // float32
  at::Tensor sum;           // float64
  at::Tensor square;        // float64
  at::Tensor lowest = {};   // float32; undefined where no range is asked for
  at::Tensor highest = {};  // float32; goes with it
};

/// Adds the kept rows of each run; `rows` [n, C] of any dtype, all on one device. On a CPU in one
/// pass over the rows, in their order for any number of threads. On another device no rows stand
/// between two runs.
void add_channel_sums(const at::Tensor& rows, const RowRuns& runs, const ChannelSums& into);

namespace by_operators {
/// The same by operators of ATen, for any device.
void add_channel_sums(const at::Tensor& rows, const RowRuns& runs, const ChannelSums& into);
}  // namespace by_operators

/// How many values of each run: [runs] int64 on `device`.
at::Tensor lengths_of(const RowRuns& runs, at::Device device);

}  // namespace actsweep
