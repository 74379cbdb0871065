#include "checkpoint/packings/block_grid.h"

#include <fmt/format.h>

#include "checkpoint/small_floats.h"

namespace actsweep {
namespace {

/// Blocks of `size` that `length` has, the last perhaps smaller; 0: one.
int64_t blocks_of(int64_t length, int64_t size) {
  return size == 0 ? 1 : (length + size - 1) / size;
}

}  // namespace

std::string BlockGrid::text() const {
  if (rows == 0) return "one scale a matrix";
  if (rows > 1) return fmt::format("blocks of {} x {}", rows, columns);
  return columns == 0 ? "one scale a row" : fmt::format("groups of {}", columns);
}

std::vector<std::vector<int64_t>> BlockGrid::shapes(const WantedMatrix& wanted) const {
  const int64_t down = blocks_of(wanted.rows, rows), across = groups(wanted.columns);
  if (rows == 0 && columns == 0) return {{}, {1}, {1, 1}};
  if (columns == 0) return {{down, across}, {down}};
  return {{down, across}};
}

void BlockGrid::scale(PackedWeight& packed, const StoredTensor& scales) const {
  packed.groups.width = columns;
  packed.scales.tensor = &scales;
  packed.scales.block_rows = rows == 0 ? packed.rows : rows;
  packed.scales.row_stride = groups(packed.columns);
  packed.scales.group_stride = 1;
}

int64_t BlockGrid::groups(int64_t all_columns) const { return blocks_of(all_columns, columns); }

Numbers float8_numbers(const std::string& type) {
  static const auto e4m3 = std::make_shared<const std::vector<float>>(float8_e4m3_numbers());
  static const auto e5m2 = std::make_shared<const std::vector<float>>(float8_e5m2_numbers());
  return type == "F8_E4M3" ? e4m3 : e5m2;
}

const std::vector<std::string>& scale_types() {
  static const std::vector<std::string> types = {"F32", "BF16", "F16"};
  return types;
}

}  // namespace actsweep
