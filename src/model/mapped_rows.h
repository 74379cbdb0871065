// Tables of a checkpoint that are gathered from its map, row by row, and never loaded.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "checkpoint/checkpoint.h"

namespace actsweep {

/// A tensor of the checkpoint over its map; undefined where the family has none.
at::Tensor mapped(const Checkpoint& checkpoint, Weight weight);

/// Rows of a table of the map, on a device. A GPU is sent them as the file holds them, without
/// waiting: the next ones are gathered meanwhile.
at::Tensor rows_on(at::Device device, const at::Tensor& table, const at::Tensor& id);

/// [rows] int64: `value` of each row.
template <typename Value>
at::Tensor index_of(int64_t rows, const Value& value) {
  const auto index = at::empty({rows}, at::kLong);
  auto* to = index.mutable_data_ptr<int64_t>();
  for (int64_t row = 0; row < rows; ++row) to[row] = value(row);
  return index;
}

}  // namespace actsweep
