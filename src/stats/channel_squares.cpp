#include "stats/channel_squares.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "kernels/cpu_rows.h"

namespace actsweep {
namespace {

constexpr int64_t kSlice = 64;  // channels whose sums stay in registers and the first cache

template <typename T>
struct ChosenRows {
  const T* first;         // of the slice
  int64_t stride;         // of rows
  const int64_t* chosen;  // [count]
  int64_t count;
};

/// One slice of channels: into `largest` and `squares` [channels]. Products are exact in float64,
/// so that every instruction set gives the same bits.
template <typename T>
ACTSWEEP_INLINE void add_rows(const ChosenRows<T>& rows, int64_t channels, float* largest,
                              double* squares) {
  float most[kSlice];
  double sum[kSlice];
  std::copy_n(largest, channels, most);
  std::copy_n(squares, channels, sum);
  for (int64_t i = 0; i < rows.count; ++i) {
    const T* row = rows.first + rows.chosen[i] * rows.stride;
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

#define ACTSWEEP_FOR_TYPE(T)                                                                  \
  ACTSWEEP_CLONES void add_slice(const ChosenRows<T>& rows, int64_t channels, float* largest, \
                                 double* squares) {                                           \
    channels == kSlice ? add_rows(rows, kSlice, largest, squares)                             \
                       : add_rows(rows, channels, largest, squares);                          \
  }
ACTSWEEP_FOR_TYPE(float)
ACTSWEEP_FOR_TYPE(at::BFloat16)
ACTSWEEP_FOR_TYPE(at::Half)
#undef ACTSWEEP_FOR_TYPE

void add_on_cpu(const at::Tensor& rows, const at::Tensor& chosen, at::Tensor& largest,
                at::Tensor& squares) {
  const int64_t channels = rows.size(1), slices = (channels + kSlice - 1) / kSlice;
  const auto contiguous = chosen.contiguous();
  const auto* numbers = contiguous.const_data_ptr<int64_t>();
  auto* into_largest = largest.mutable_data_ptr<float>();
  auto* into_squares = squares.mutable_data_ptr<double>();
  cpu::with_type(rows.scalar_type(), [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* first = rows.const_data_ptr<T>();
    at::parallel_for(0, slices, 1, [&](int64_t begin, int64_t end) {
      for (int64_t channel = begin * kSlice; channel < std::min(end * kSlice, channels);
           channel += kSlice) {
        add_slice(ChosenRows<T>{first + channel, rows.stride(0), numbers, contiguous.size(0)},
                  std::min(kSlice, channels - channel), into_largest + channel,
                  into_squares + channel);
      }
    });
  });
}

}  // namespace

void add_channel_squares(const at::Tensor& rows, const at::Tensor& chosen, at::Tensor largest,
                         at::Tensor squares) {
  if (rows.is_cpu()) return add_on_cpu(rows, chosen, largest, squares);
  const auto values = rows.index_select(0, chosen);
  largest.copy_(at::maximum(largest, values.abs().amax(0).to(at::kFloat)));
  squares.add_(values.to(at::kDouble).square().sum(0));
}

}  // namespace actsweep
