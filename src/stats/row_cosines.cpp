#include "stats/row_cosines.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <limits>

#include "base/instruction_sets.h"

namespace actsweep {
namespace {

constexpr int64_t kCosineLanes = 16;  // of sums: their order does not depend on the instruction set
constexpr int64_t kCosineGrain = 64;  // of a thread's share

struct CosineSums {
  double square = 0;    // x · x
  double of_first = 0;  // x · first
  double of_before = 0;
  double before_square = 0;
};

struct CosineLanes {
  double square[kCosineLanes] = {};
  double of_first[kCosineLanes] = {};
  double of_before[kCosineLanes] = {};
  double before_square[kCosineLanes] = {};
};

/// Products of two float32 are exact in float64.
ACTSWEEP_INLINE void add_cosine_block(const float* x, const float* first, const float* before,
                                      int64_t count, CosineLanes& lanes) {
  for (int64_t lane = 0; lane < count; ++lane) {
    const double value = x[lane], was = before[lane];
    lanes.square[lane] += value * value;
    lanes.of_first[lane] += value * static_cast<double>(first[lane]);
    lanes.of_before[lane] += value * was;
    lanes.before_square[lane] += was * was;
  }
}

ACTSWEEP_CLONES CosineSums add_cosine_row(const float* x, const float* first, const float* before,
                                          int64_t channels) {
  CosineLanes lanes;
  const int64_t whole = channels / kCosineLanes * kCosineLanes;
  for (int64_t c = 0; c < whole; c += kCosineLanes) {
    add_cosine_block(x + c, first + c, before + c, kCosineLanes, lanes);
  }
  add_cosine_block(x + whole, first + whole, before + whole, channels - whole, lanes);
  CosineSums sums;
  for (int64_t lane = 0; lane < kCosineLanes; ++lane) {
    sums.square += lanes.square[lane];
    sums.of_first += lanes.of_first[lane];
    sums.of_before += lanes.of_before[lane];
    sums.before_square += lanes.before_square[lane];
  }
  return sums;
}

/// NaN where a norm is 0.
float cosine(double product, double square, double other_square) {
  return static_cast<float>(product / std::sqrt(square * other_square));
}

RowCosines empty_cosines(const at::Tensor& rows) {
  const auto options = rows.options().dtype(at::kFloat);
  return {at::empty({rows.size(0)}, options),
          at::full({rows.size(0)}, std::numeric_limits<float>::quiet_NaN(), options)};
}

RowCosines on_cpu(const at::Tensor& rows, const at::Tensor& before, int64_t positions) {
  const int64_t channels = rows.size(1);
  const auto* x = rows.const_data_ptr<float>();
  // Where nothing was before, the row itself stands for it, and its cosine stays NaN.
  const auto* was = before.defined() ? before.const_data_ptr<float>() : x;
  auto found = empty_cosines(rows);
  auto* of_first = found.first.mutable_data_ptr<float>();
  auto* of_before = before.defined() ? found.previous.mutable_data_ptr<float>() : nullptr;
  at::parallel_for(0, rows.size(0), kCosineGrain, [&](int64_t begin, int64_t end) {
    double first_square = 0;
    for (int64_t row = begin; row < end; ++row) {
      const auto* first = x + row / positions * positions * channels;
      const bool begins = row == begin || row % positions == 0;
      if (begins) first_square = add_cosine_row(first, first, first, channels).square;
      const auto sums = add_cosine_row(x + row * channels, first, was + row * channels, channels);
      of_first[row] = cosine(sums.of_first, sums.square, first_square);
      if (of_before) of_before[row] = cosine(sums.of_before, sums.square, sums.before_square);
    }
  });
  return found;
}

}  // namespace

RowCosines row_cosines(const at::Tensor& rows, const at::Tensor& before, int64_t positions) {
  if (rows.is_cpu()) return on_cpu(rows, before, positions);
  return by_operators::row_cosines(rows, before, positions);
}

RowCosines by_operators::row_cosines(const at::Tensor& rows, const at::Tensor& before,
                                     int64_t positions) {
  const auto over_channels = [](const at::Tensor& values) {
    return values.sum(-1, /*keepdim=*/false, at::kDouble);
  };
  const auto of_pair = [&](const at::Tensor& left, const at::Tensor& right) {
    const auto norm = [](const at::Tensor& x) {
      return at::linalg_vector_norm(x, 2, at::IntArrayRef{-1}, false, at::kDouble);
    };
    return (over_channels(left * right) / (norm(left) * norm(right))).to(at::kFloat);
  };
  auto found = empty_cosines(rows);
  for (int64_t begin = 0; begin < rows.size(0); begin += positions) {
    const auto sequence = rows.narrow(0, begin, positions);
    found.first.narrow(0, begin, positions).copy_(of_pair(sequence, sequence.narrow(0, 0, 1)));
    if (!before.defined()) continue;
    found.previous.narrow(0, begin, positions)
        .copy_(of_pair(sequence, before.narrow(0, begin, positions)));
  }
  return found;
}

}  // namespace actsweep
