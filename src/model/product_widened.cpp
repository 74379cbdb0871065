#include "model/product_widened.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace actsweep {
namespace {

// So few that all stay in a cache, so many that their products reach float32's rate
// (docs/performance.md).
constexpr int64_t kRows = 512;
constexpr int64_t kLeastColumns = 512;
constexpr int64_t kWeightBytes = 4ll << 20;

/// The columns of one piece: near-equal pieces.
int64_t columns_of_piece(int64_t k, int64_t width) {
  const int64_t most = std::max(kLeastColumns, kWeightBytes / (4 * k));
  const int64_t pieces = (width + most - 1) / most;
  return (width + pieces - 1) / pieces;
}

/// The beginning of a buffer [elements] as [rows, columns].
at::Tensor part_of(const at::Tensor& buffer, int64_t rows, int64_t columns) {
  return buffer.narrow(0, 0, rows * columns).view({rows, columns});
}

}  // namespace

void project_widened(const at::Tensor& in, const at::Tensor& weight, const at::Tensor& addend,
                     const at::Tensor& out) {
  const int64_t n = in.size(0), k = in.size(1), width = weight.size(0);
  const int64_t rows = std::min(kRows, n), columns = columns_of_piece(k, width);
  const auto options = in.options().dtype(at::kFloat);
  const auto wide_in = at::empty({rows * k}, options);
  const auto wide_weight = at::empty({columns * k}, options);
  const auto sums = at::empty({rows * columns}, options);
  for (int64_t row = 0; row < n; row += rows) {
    const int64_t count = std::min(rows, n - row);
    const auto x = part_of(wide_in, count, k);
    x.copy_(in.narrow(0, row, count));
    for (int64_t column = 0; column < width; column += columns) {
      const int64_t some = std::min(columns, width - column);
      const auto piece_of = [&](const at::Tensor& whole) {
        return whole.narrow(0, row, count).narrow(1, column, some);
      };
      const auto w = part_of(wide_weight, some, k);
      w.copy_(weight.narrow(0, column, some));
      auto sum = part_of(sums, count, some);
      if (addend.defined()) {
        sum.copy_(piece_of(addend.expand_as(out)));
        sum.addmm_(x, w.t());
      } else {
        at::mm_out(sum, x, w.t());
      }
      piece_of(out).copy_(sum);
    }
  }
}

int64_t widened_bytes(int64_t rows, int64_t k, int64_t width) {
  const int64_t count = std::min(kRows, rows), columns = columns_of_piece(k, width);
  return 4 * (count * k + columns * k + count * columns);
}

}  // namespace actsweep
