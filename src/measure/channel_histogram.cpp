#include "measure/channel_histogram.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "measure/quantiser_kernels.h"
#include "measure/quantiser_rows.h"
#include "schema/quarter_octaves.h"

namespace actsweep {

void count_quarter_octaves(const at::Tensor& rows, const std::vector<int64_t>& counted,
                           const at::Tensor& histogram) {
  rows.is_cpu() ? cpu::count_quarter_octaves(rows, counted, histogram)
                : aten::count_quarter_octaves(rows, counted, histogram);
}

namespace cpu {

namespace {

constexpr int64_t kSlice = 32;  // channels whose counts stay in the nearest cache

}  // namespace

/// Each thread has channels of its own: their counts need no sum over threads.
void count_quarter_octaves(const at::Tensor& rows, const std::vector<int64_t>& counted,
                           const at::Tensor& histogram) {
  const int64_t channels = rows.size(1), slices = (channels + kSlice - 1) / kSlice;
  const float* values = rows.const_data_ptr<float>();
  auto* counts = histogram.mutable_data_ptr<int64_t>();
  at::parallel_for(0, slices, 1, [&](int64_t begin, int64_t end) {
    int32_t bin[kSlice];
    for (int64_t slice = begin; slice < end; ++slice) {
      const int64_t first = slice * kSlice, width = std::min(kSlice, channels - first);
      int64_t* of_slice = counts + first * kQuarterOctaves;
      for (const int64_t row : counted) {
        const std::span<const float> part(values + row * channels + first,
                                          static_cast<size_t>(width));
        kernels::find_quarter_octaves(part, bin);
        for (int64_t c = 0; c < width; ++c) ++of_slice[c * kQuarterOctaves + bin[c]];
      }
    }
  });
}

}  // namespace cpu

namespace aten {

namespace {

/// quarter_octave_of each value of x [n, C], int64.
at::Tensor quarter_octaves_of(const at::Tensor& x) {
  const auto bits = x.abs().view(at::kInt);
  const auto mantissa = bits.bitwise_and(int64_t{kMantissaMask});
  auto quarter = bits.bitwise_right_shift(int64_t{kFloatMantissa})
                     .sub_(kFloatBias)
                     .mul_(4)
                     .add_(kQuartersBelowOne);
  for (const int32_t edge : kQuarterMantissas) quarter.add_(mantissa.ge(edge));
  return quarter.clamp_(0, kQuarterOctaves - 1).to(at::kLong);
}

}  // namespace

void count_quarter_octaves(const at::Tensor& rows, const std::vector<int64_t>& counted,
                           const at::Tensor& histogram) {
  const auto count = static_cast<int64_t>(counted.size()), channels = rows.size(1);
  const auto index = at::tensor(counted, at::kLong).to(rows.device());
  const auto first_bin = at::arange(channels, index.options()).mul_(kQuarterOctaves);
  const auto counts = histogram.view({-1});
  const int64_t together = std::max<int64_t>(1, kTogetherValues / channels);
  for (int64_t first = 0; first < count; first += together) {
    const int64_t length = std::min(together, count - first);
    const auto x = rows.index_select(0, index.narrow(0, first, length));
    const auto bin = quarter_octaves_of(x).add_(first_bin).flatten();
    counts.scatter_add_(0, bin, at::ones_like(bin));
  }
}

}  // namespace aten

}  // namespace actsweep
