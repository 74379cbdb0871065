#include "kernels/product_widened.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

namespace actsweep {
namespace {

// So few that a piece stays in a cache, so many that products reach float32's rate
// (docs/performance.md).
constexpr int64_t kMostRows = 512;
constexpr int64_t kMostColumns = 2048;
constexpr int64_t kMostDepth = 2048;          // of k, added up in float32
constexpr int64_t kMostElements = 1ll << 20;  // of each operand and of the sums
static_assert(kMostRows * std::max(kMostColumns, kMostDepth) <= kMostElements);
static_assert(kWidenedBytes == 3 * kMostElements * 4);
// Even out what threads have to do, down to pieces of this side.
constexpr int64_t kPiecesPerThread = 4;
constexpr int64_t kLeastSide = 64;

/// How an output [n, width] is cut: pieces of these rows and columns, and each of these parts of k;
/// the last ones smaller.
struct Cutting {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t depth = 0;
  int64_t across = 0;  // pieces beside each other
  int64_t pieces = 0;
};

Cutting cut(int64_t n, int64_t k, int64_t width, int64_t threads) {
  const auto parts = [](int64_t length, int64_t most) { return (length + most - 1) / most; };
  const int64_t depth = parts(k, parts(k, kMostDepth));
  const int64_t most = std::min(kMostColumns, kMostElements / depth);
  Cutting cutting = {std::min(kMostRows, n), parts(width, parts(width, most)), depth};
  const int64_t wanted = threads == 1 ? 1 : kPiecesPerThread * threads;
  while (true) {
    cutting.across = parts(width, cutting.columns);
    cutting.pieces = parts(n, cutting.rows) * cutting.across;
    auto& longer = cutting.rows >= cutting.columns ? cutting.rows : cutting.columns;
    if (cutting.pieces >= wanted || longer <= kLeastSide) return cutting;
    longer = parts(longer, 2);
  }
}

/// One thread's float32: a piece's rows, its columns' weights, its sums. Kept from call to call:
/// what is freed between others' buffers stays with the process.
class Scratch {
 public:
  at::Tensor in(int64_t rows, int64_t depth) const { return part(0, rows, depth); }
  at::Tensor weight(int64_t columns, int64_t depth) const { return part(1, columns, depth); }
  at::Tensor sums(int64_t rows, int64_t columns) const { return part(2, rows, columns); }

 private:
  at::Tensor part(int64_t number, int64_t rows, int64_t columns) const {
    return buffer_.narrow(0, number * kMostElements, rows * columns).view({rows, columns});
  }

  at::Tensor buffer_ = at::empty({3 * kMostElements}, at::kFloat);
};

}  // namespace

void project_widened(const at::Tensor& in, const at::Tensor& weight, const at::Tensor& addend,
                     const at::Tensor& out) {
  const int64_t n = in.size(0), k = in.size(1), width = weight.size(0);
  if (n == 0) return;
  const auto cutting = cut(n, k, width, at::get_num_threads());
  const auto multiply = [&](int64_t piece, const Scratch& scratch) {
    const int64_t row = piece / cutting.across * cutting.rows;
    const int64_t column = piece % cutting.across * cutting.columns;
    const int64_t rows = std::min(cutting.rows, n - row);
    const int64_t columns = std::min(cutting.columns, width - column);
    const auto of_piece = [&](const at::Tensor& whole) {
      return whole.narrow(0, row, rows).narrow(1, column, columns);
    };
    auto sums = scratch.sums(rows, columns);
    if (addend.defined()) sums.copy_(of_piece(addend.expand_as(out)));
    for (int64_t first = 0; first < k; first += cutting.depth) {
      const int64_t depth = std::min(cutting.depth, k - first);
      const auto x = scratch.in(rows, depth), w = scratch.weight(columns, depth);
      x.copy_(in.narrow(0, row, rows).narrow(1, first, depth));
      w.copy_(weight.narrow(0, column, columns).narrow(1, first, depth));
      sums.addmm_(x, w.t(), /*beta=*/first > 0 || addend.defined() ? 1 : 0);
    }
    of_piece(out).copy_(sums);
  };
  // Threads meet once in a product, as in float32's: a meeting is dear where cores are shared.
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, std::min<int64_t>(at::get_num_threads(), cutting.pieces), 1,
                   [&](int64_t, int64_t) {
                     thread_local const Scratch scratch;
                     for (int64_t piece = next++; piece < cutting.pieces; piece = next++) {
                       multiply(piece, scratch);
                     }
                   });
}

}  // namespace actsweep
