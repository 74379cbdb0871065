#include "stats/participation.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "base/instruction_sets.h"

namespace actsweep {
namespace {

/// Rows of K that are computed together: K is symmetric, so that of its blocks those left of the
/// diagonal are not.
constexpr int64_t kTileOnCpu = 128, kTileOnGpu = 1024;
constexpr int64_t kSquareLanes = 16;  // of sums: their order does not depend on the instruction set
constexpr int64_t kSquareGrain = 16;

int64_t tile_rows_on(bool is_gpu) { return is_gpu ? kTileOnGpu : kTileOnCpu; }

/// One product serves both ratios where K has tokens on its sides, each needs its own where these
/// are channels.
bool is_by_tokens(int64_t positions, int64_t channels) { return positions <= 2 * channels; }

/// Σ k² and Σ (k s)² of one row of K, with the factors s of its columns.
struct RowSquares {
  double plain = 0;
  double scaled = 0;
};

struct SquareLanes {
  double plain[kSquareLanes] = {};
  double scaled[kSquareLanes] = {};
};

ACTSWEEP_INLINE void add_block(const float* k, const double* scale, int64_t count,
                               SquareLanes& lanes) {
  for (int64_t lane = 0; lane < count; ++lane) {
    const double value = k[lane], scaled = value * scale[lane];
    lanes.plain[lane] += value * value;
    lanes.scaled[lane] += scaled * scaled;
  }
}

ACTSWEEP_CLONES RowSquares squares_of_row(const float* k, const double* scale, int64_t columns) {
  SquareLanes lanes;
  const int64_t whole = columns / kSquareLanes * kSquareLanes;
  for (int64_t i = 0; i < whole; i += kSquareLanes)
    add_block(k + i, scale + i, kSquareLanes, lanes);
  add_block(k + whole, scale + whole, columns - whole, lanes);
  RowSquares sums;
  for (int64_t lane = 0; lane < kSquareLanes; ++lane) {
    sums.plain += lanes.plain[lane];
    sums.scaled += lanes.scaled[lane];
  }
  return sums;
}

/// [2, rows] float64: of each row of a part of K [rows, columns].
at::Tensor row_squares(const at::Tensor& part, const at::Tensor& scale) {
  if (!part.is_cpu()) {
    const auto exact = part.to(at::kDouble);
    return at::stack({exact.square().sum(1), (exact * scale.unsqueeze(0)).square_().sum(1)});
  }
  const int64_t rows = part.size(0), columns = part.size(1);
  auto squares = at::empty({2, rows}, scale.options());
  auto* into = squares.mutable_data_ptr<double>();
  const auto* from = part.const_data_ptr<float>();
  const auto* factor = scale.const_data_ptr<double>();
  at::parallel_for(0, rows, kSquareGrain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const auto sums = squares_of_row(from + row * part.stride(0), factor, columns);
      into[row] = sums.plain;
      into[rows + row] = sums.scaled;
    }
  });
  return squares;
}

/// [2] float64: tr K² of K = X Xᵀ, and that of K with its element i, j times scale[i] scale[j].
/// `square` [rows of X] float64 is K's diagonal, which one massive row may make nearly all of K: a
/// float32 product would round it more.
at::Tensor squared_gram(const at::Tensor& x, const at::Tensor& square, const at::Tensor& scale) {
  const auto of_diagonal = at::stack({square, square * scale.square()});
  auto sum = of_diagonal.square().sum(1);
  const int64_t tile = tile_rows_on(!x.is_cpu());
  const auto add = [&](const at::Tensor& part, int64_t first_row, int64_t first_column,
                       double times) {
    if (part.size(1) == 0) return;
    const auto of_rows = row_squares(part, scale.narrow(0, first_column, part.size(1)));
    sum[0].add_(of_rows[0].sum(), times);
    sum[1].add_((of_rows[1] * scale.narrow(0, first_row, part.size(0)).square()).sum(), times);
  };
  for (int64_t begin = 0; begin < x.size(0); begin += tile) {
    const int64_t rows = std::min(tile, x.size(0) - begin);
    const auto behind = x.narrow(0, begin, x.size(0) - begin);
    const auto part = at::mm(x.narrow(0, begin, rows), behind.t());
    const auto on_diagonal = part.narrow(1, 0, rows);
    on_diagonal.diagonal().zero_();
    add(on_diagonal, begin, begin, 1);
    add(part.narrow(1, rows, part.size(1) - rows), begin, begin + rows, 2);
  }
  return sum;
}

/// [rows] float64.
at::Tensor norms_of(const at::Tensor& x) {
  return at::linalg_vector_norm(x, 2, at::IntArrayRef{1}, false, at::kDouble);
}

/// The same for X whose rows are channels, without a scale: a number.
at::Tensor squared_gram_of_channels(const at::Tensor& rows) {
  const auto x = rows.t().contiguous();
  const auto square = norms_of(x).square();
  return squared_gram(x, square, at::ones_like(square))[0];
}

}  // namespace

at::Tensor participation_of(const at::Tensor& rows) {
  const auto norm = norms_of(rows), square = norm.square();
  const auto is_some = norm.gt(0);
  const auto inverse = at::where(is_some, norm.reciprocal(), 0.0);
  const auto trace = at::stack({square.sum(), is_some.sum().to(at::kDouble)});
  if (is_by_tokens(rows.size(0), rows.size(1))) {
    return trace.square() / squared_gram(rows, square, inverse);
  }
  const auto normed = rows * inverse.to(at::kFloat).unsqueeze(1);
  return trace.square() /
         at::stack({squared_gram_of_channels(rows), squared_gram_of_channels(normed)});
}

int64_t participation_bytes(int64_t positions, int64_t channels, bool is_gpu) {
  const bool by_tokens = is_by_tokens(positions, channels);
  const int64_t side = by_tokens ? positions : channels;
  // A part of K, and on a GPU two copies of it in float64.
  const int64_t part = std::min(side, tile_rows_on(is_gpu)) * side * (is_gpu ? 4 + 2 * 8 : 4);
  return part + (by_tokens ? 0 : 2 * positions * channels * 4);
}

double participation_operations(int64_t positions, int64_t channels) {
  const auto n = static_cast<double>(positions), c = static_cast<double>(channels);
  return is_by_tokens(positions, channels) ? n * n * c : 2 * n * c * c;
}

}  // namespace actsweep
