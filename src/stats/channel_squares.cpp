#include "stats/channel_squares.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "kernels/cpu_rows.h"

namespace actsweep {
namespace {

constexpr int64_t kSlice = 64;  // channels whose sums stay in registers and the first cache

template <typename T>
struct RunOfRows {
  const T* first;       // of the slice
  int64_t stride;       // of rows
  const bool* is_kept;  // [count]
  int64_t count;
};

/// One slice of channels: into `largest` and `squares` [channels]. Products are exact in float64,
/// so that every instruction set gives the same bits.
template <typename T>
ACTSWEEP_INLINE void add_rows(const RunOfRows<T>& rows, int64_t channels, float* largest,
                              double* squares) {
  float most[kSlice];
  double sum[kSlice];
  std::copy_n(largest, channels, most);
  std::copy_n(squares, channels, sum);
  for (int64_t i = 0; i < rows.count; ++i) {
    if (!rows.is_kept[i]) continue;
    const T* row = rows.first + i * rows.stride;
    for (int64_t c = 0; c < channels; ++c) {
      const float value = cpu::widen(row[c]);
      const float magnitude = value < 0 ? -value : value;
      most[c] = magnitude > most[c] ? magnitude : most[c];
      sum[c] += static_cast<double>(value) * static_cast<double>(value);
    }
  }
  std::copy_n(most, channels, largest);
  std::copy_n(sum, channels, squares);
}

#define ACTSWEEP_FOR_TYPE(T)                                                                 \
  ACTSWEEP_CLONES void add_slice(const RunOfRows<T>& rows, int64_t channels, float* largest, \
                                 double* squares) {                                          \
    channels == kSlice ? add_rows(rows, kSlice, largest, squares)                            \
                       : add_rows(rows, channels, largest, squares);                         \
  }
ACTSWEEP_FOR_TYPE(float)
ACTSWEEP_FOR_TYPE(at::BFloat16)
ACTSWEEP_FOR_TYPE(at::Half)
#undef ACTSWEEP_FOR_TYPE

void add_on_cpu(const at::Tensor& rows, const RowRuns& runs, at::Tensor& largest,
                at::Tensor& squares) {
  const int64_t channels = rows.size(1), slices = (channels + kSlice - 1) / kSlice;
  const int64_t count = static_cast<int64_t>(runs.first.size()) - 1;
  const auto* is_kept = runs.is_kept.const_data_ptr<bool>();
  auto* into_largest = largest.mutable_data_ptr<float>();
  auto* into_squares = squares.mutable_data_ptr<double>();
  cpu::with_type(rows.scalar_type(), [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* all = rows.const_data_ptr<T>();
    at::parallel_for(0, count * slices, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t run = i / slices, channel = i % slices * kSlice;
        const int64_t at = run * channels + channel;
        const T* first = all + runs.begin[run] * rows.stride(0) + channel;
        add_slice(RunOfRows<T>{first, rows.stride(0), is_kept + runs.first[run],
                               runs.first[run + 1] - runs.first[run]},
                  std::min(kSlice, channels - channel), into_largest + at, into_squares + at);
      }
    });
  });
}

}  // namespace

at::Tensor lengths_of(const RowRuns& runs, at::Device device) {
  std::vector<int64_t> lengths;
  for (size_t i = 0; i + 1 < runs.first.size(); ++i) {
    lengths.push_back(runs.first[i + 1] - runs.first[i]);
  }
  return at::tensor(lengths, at::kLong).to(device);
}

void add_channel_squares(const at::Tensor& rows, const RowRuns& runs, at::Tensor largest,
                         at::Tensor squares) {
  if (rows.is_cpu()) return add_on_cpu(rows, runs, largest, squares);
  by_operators::add_channel_squares(rows, runs, largest, squares);
}

void by_operators::add_channel_squares(const at::Tensor& rows, const RowRuns& runs,
                                       at::Tensor largest, at::Tensor squares) {
  const auto lengths = lengths_of(runs, rows.device());
  const auto kept = rows.masked_fill(runs.is_kept.logical_not().unsqueeze(1), 0);
  const auto over_runs = [&](const at::Tensor& values, const char* reduction) {
    return at::segment_reduce(values, reduction, lengths, {}, {}, 0, /*unsafe=*/true, 0);
  };
  largest.copy_(at::maximum(largest, over_runs(kept.abs().to(at::kFloat), "max")));
  squares.add_(over_runs(kept.to(at::kDouble).square(), "sum"));
}

}  // namespace actsweep
