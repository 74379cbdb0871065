#include "stats/channel_sums.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <limits>

#include "kernels/cpu_rows.h"

namespace actsweep {
namespace {

constexpr int64_t kSlice = 64;  // channels whose sums stay in registers and the first cache
constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <typename T>
struct RunOfRows {
  const T* first;       // of the slice
  int64_t stride;       // of rows
  const bool* is_kept;  // [count]
  int64_t count;
};

/// Of one slice of channels, [channels] each.
struct SliceSums {
  float* largest;
  double* sum;
  double* square;
  float* lowest;  // null where no range is asked for
  float* highest;
};

/// Products are exact in float64, so that every instruction set gives the same bits.
template <typename T>
ACTSWEEP_INLINE void add_rows(const RunOfRows<T>& rows, int64_t channels, const SliceSums& into) {
  float most[kSlice];
  double sum[kSlice], square[kSlice];
  std::copy_n(into.largest, channels, most);
  std::copy_n(into.sum, channels, sum);
  std::copy_n(into.square, channels, square);
  for (int64_t i = 0; i < rows.count; ++i) {
    if (!rows.is_kept[i]) continue;
    const T* row = rows.first + i * rows.stride;
    for (int64_t c = 0; c < channels; ++c) {
      const float value = cpu::widen(row[c]);
      const float magnitude = value < 0 ? -value : value;
      most[c] = magnitude > most[c] ? magnitude : most[c];
      const double wide = value;
      sum[c] += wide;
      square[c] += wide * wide;
    }
  }
  std::copy_n(most, channels, into.largest);
  std::copy_n(sum, channels, into.sum);
  std::copy_n(square, channels, into.square);
}

/// Of zeros the one without a sign, so that no order of rows decides.
template <typename T>
ACTSWEEP_INLINE void widen_range(const RunOfRows<T>& rows, int64_t channels,
                                 const SliceSums& into) {
  float least[kSlice], most[kSlice];
  std::copy_n(into.lowest, channels, least);
  std::copy_n(into.highest, channels, most);
  for (int64_t i = 0; i < rows.count; ++i) {
    if (!rows.is_kept[i]) continue;
    const T* row = rows.first + i * rows.stride;
    for (int64_t c = 0; c < channels; ++c) {
      const float value = cpu::widen(row[c]) + 0.0F;
      least[c] = value < least[c] ? value : least[c];
      most[c] = value > most[c] ? value : most[c];
    }
  }
  std::copy_n(least, channels, into.lowest);
  std::copy_n(most, channels, into.highest);
}

template <typename T>
ACTSWEEP_INLINE void add_channels(const RunOfRows<T>& rows, int64_t channels,
                                  const SliceSums& into) {
  add_rows(rows, channels, into);
  if (into.lowest != nullptr) widen_range(rows, channels, into);
}

#define ACTSWEEP_FOR_TYPE(T)                                                                    \
  ACTSWEEP_CLONES void add_slice(const RunOfRows<T>& rows, int64_t channels,                    \
                                 const SliceSums& into) {                                       \
    channels == kSlice ? add_channels(rows, kSlice, into) : add_channels(rows, channels, into); \
  }
ACTSWEEP_FOR_TYPE(float)
ACTSWEEP_FOR_TYPE(at::BFloat16)
ACTSWEEP_FOR_TYPE(at::Half)
#undef ACTSWEEP_FOR_TYPE

void add_on_cpu(const at::Tensor& rows, const RowRuns& runs, const ChannelSums& into) {
  const int64_t channels = rows.size(1), slices = (channels + kSlice - 1) / kSlice;
  const int64_t count = static_cast<int64_t>(runs.first.size()) - 1;
  const auto* is_kept = runs.is_kept.const_data_ptr<bool>();
  auto* largest = into.largest.mutable_data_ptr<float>();
  auto* sum = into.sum.mutable_data_ptr<double>();
  auto* square = into.square.mutable_data_ptr<double>();
  const bool has_range = into.lowest.defined();
  auto* lowest = has_range ? into.lowest.mutable_data_ptr<float>() : nullptr;
  auto* highest = has_range ? into.highest.mutable_data_ptr<float>() : nullptr;
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
                  std::min(kSlice, channels - channel),
                  {largest + at, sum + at, square + at, has_range ? lowest + at : nullptr,
                   has_range ? highest + at : nullptr});
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

void add_channel_sums(const at::Tensor& rows, const RowRuns& runs, const ChannelSums& into) {
  if (rows.is_cpu()) return add_on_cpu(rows, runs, into);
  by_operators::add_channel_sums(rows, runs, into);
}

void by_operators::add_channel_sums(const at::Tensor& rows, const RowRuns& runs,
                                    const ChannelSums& into) {
  const auto lengths = lengths_of(runs, rows.device());
  const auto is_left_out = runs.is_kept.logical_not().unsqueeze(1);
  const auto kept = rows.masked_fill(is_left_out, 0);
  const auto over_runs = [&](const at::Tensor& values, const char* reduction, double nothing = 0) {
    return at::segment_reduce(values, reduction, lengths, {}, {}, 0, /*unsafe=*/true, nothing);
  };
  const auto wide = kept.to(at::kDouble);
  into.largest.copy_(at::maximum(into.largest, over_runs(kept.abs().to(at::kFloat), "max")));
  into.sum.add_(over_runs(wide, "sum"));
  into.square.add_(over_runs(wide.square(), "sum"));
  if (!into.lowest.defined()) return;
  const auto end_of_runs = [&](const char* reduction, double nothing) {
    const auto values = rows.to(at::kFloat).masked_fill(is_left_out, nothing);
    return over_runs(values, reduction, nothing).add(0.0);
  };
  into.lowest.copy_(at::minimum(into.lowest, end_of_runs("min", kInfinity)));
  into.highest.copy_(at::maximum(into.highest, end_of_runs("max", -kInfinity)));
}

}  // namespace actsweep
