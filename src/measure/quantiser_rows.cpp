#include "measure/quantiser_rows.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>
#include <limits>

#include "measure/quantiser_kernels.h"
#include "schema/declare.h"

namespace actsweep {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Of no row.
QuantiserSummary empty_summary(const at::Tensor& rows, int64_t counted) {
  const int64_t channels = rows.size(1);
  const auto counts = rows.options().dtype(at::kLong);
  return {at::full({channels}, kInfinity, rows.options()),
          at::full({channels}, -kInfinity, rows.options()),
          at::full({channels}, -1, rows.options().dtype(at::kInt)),
          at::empty({counted}, rows.options().dtype(at::kDouble)),
          at::zeros({kMagnitudeBins}, counts),
          at::zeros({kMagnitudeBins}, counts)};
}

/// What one thread has seen.
class SeenRows {
 public:
  explicit SeenRows(int64_t channels)
      : lowest_(channels, kInfinity),
        highest_(channels, -kInfinity),
        largest_row_(channels, -1),
        block16_(kMagnitudeBins),
        block32_(kMagnitudeBins),
        largest_(kernels::block_count(channels)) {}

  void see(std::span<const float> row, int64_t number) {
    kernels::widen_extrema(row, static_cast<int32_t>(number),
                           {lowest_.data(), highest_.data(), largest_row_.data()});
    kernels::find_block_maxima(row, largest_.data());
    for (const int32_t bits : largest_) ++block16_[bits >> 16];
    for (size_t block = 0; block < largest_.size(); block += 2) {
      const size_t next = std::min(block + 1, largest_.size() - 1);
      ++block32_[std::max(largest_[block], largest_[next]) >> 16];
    }
  }

  void add_to(const QuantiserSummary& summary) const {
    add_extrema(summary);
    auto* block16 = summary.block16_histogram.mutable_data_ptr<int64_t>();
    auto* block32 = summary.block32_histogram.mutable_data_ptr<int64_t>();
    for (int64_t bin = 0; bin < kMagnitudeBins; ++bin) {
      block16[bin] += block16_[bin];
      block32[bin] += block32_[bin];
    }
  }

 private:
  /// Of equal magnitudes the first row, whichever thread comes first.
  void add_extrema(const QuantiserSummary& summary) const {
    auto* lowest = summary.lowest.mutable_data_ptr<float>();
    auto* highest = summary.highest.mutable_data_ptr<float>();
    auto* largest_row = summary.largest_row.mutable_data_ptr<int32_t>();
    for (size_t c = 0; c < lowest_.size(); ++c) {
      const float known = kernels::magnitude_of(lowest[c], highest[c]);
      const float mine = kernels::magnitude_of(lowest_[c], highest_[c]);
      const bool is_before = mine == known && largest_row_[c] < largest_row[c];
      if (mine > known || is_before) largest_row[c] = largest_row_[c];
      lowest[c] = std::min(lowest[c], lowest_[c]);
      highest[c] = std::max(highest[c], highest_[c]);
    }
  }

  std::vector<float> lowest_;         // [C]
  std::vector<float> highest_;        // [C]
  std::vector<int32_t> largest_row_;  // [C]
  std::vector<int64_t> block16_;      // [magnitude bins]
  std::vector<int64_t> block32_;      // [magnitude bins]
  std::vector<int32_t> largest_;      // [blocks of 16] magnitude bits of one row
};

}  // namespace

QuantiserSummary summarise_rows(const at::Tensor& rows, const std::vector<int64_t>& counted) {
  return rows.is_cpu() ? cpu::summarise_rows(rows, counted) : aten::summarise_rows(rows, counted);
}

namespace cpu {

QuantiserSummary summarise_rows(const at::Tensor& rows, const std::vector<int64_t>& counted) {
  auto summary = empty_summary(rows, static_cast<int64_t>(counted.size()));
  const int64_t channels = rows.size(1);
  const float* values = rows.const_data_ptr<float>();
  auto* kurtosis = summary.kurtosis.mutable_data_ptr<double>();
  const int threads = at::get_num_threads();
  std::vector<SeenRows> of_thread(static_cast<size_t>(threads), SeenRows(channels));
#pragma omp parallel for num_threads(threads) schedule(static)
  for (size_t i = 0; i < counted.size(); ++i) {
    const std::span<const float> row(values + counted[i] * channels, static_cast<size_t>(channels));
    kurtosis[i] = kernels::excess_kurtosis(row);
    of_thread[static_cast<size_t>(omp_get_thread_num())].see(row, counted[i]);
  }
  for (const auto& seen : of_thread) seen.add_to(summary);
  return summary;
}

}  // namespace cpu

namespace aten {

namespace {

/// [n] of x [n, C] float32. The sum of equal values is exact, so that they do not spread.
at::Tensor excess_kurtosis(const at::Tensor& x) {
  const auto value = x.to(at::kDouble);
  // Divided by a CPU's number, a sum would be multiplied with its inverse on some devices.
  const auto channels = at::full({1}, static_cast<double>(x.size(1)), value.options());
  const auto mean_of = [&](const at::Tensor& terms) { return terms.sum(1, true).div(channels); };
  const auto square = value.sub(mean_of(value)).square_();
  const auto second = mean_of(square), fourth = mean_of(square.square());
  const auto kurtosis = fourth.div(second.square()).sub(3);
  return kurtosis.masked_fill(second.eq(0), std::numeric_limits<double>::quiet_NaN()).squeeze(1);
}

/// Lowers and raises the extrema to magnitudes [n, C] of values x, whose rows have these numbers
/// [n].
void widen_extrema(const at::Tensor& x, const at::Tensor& magnitude, const at::Tensor& number,
                   const QuantiserSummary& summary) {
  constexpr int32_t kNoRow = std::numeric_limits<int32_t>::max();
  const auto known = at::maximum(summary.lowest.neg(), summary.highest);
  const auto largest = magnitude.amax(0);
  const auto nobody = at::full({1, 1}, kNoRow, number.options());
  const auto first = at::where(magnitude.eq(largest), number.unsqueeze(1), nobody).amin(0);
  summary.largest_row.copy_(at::where(largest.gt(known), first, summary.largest_row));
  summary.lowest.copy_(at::minimum(summary.lowest, x.amin(0)));
  summary.highest.copy_(at::maximum(summary.highest, x.amax(0)));
}

/// Adds the blocks of `size` channels of magnitudes [n, C]; the last may have fewer.
void count_blocks(const at::Tensor& magnitude, int64_t size, const at::Tensor& histogram) {
  const int64_t channels = magnitude.size(1), blocks = kernels::block_count(channels, size);
  const auto padded = at::constant_pad_nd(magnitude, {0, blocks * size - channels});
  const auto largest = padded.view({-1, blocks, size}).amax(2);
  const auto bin = largest.view(at::kInt).bitwise_right_shift(16).to(at::kLong).flatten();
  histogram.scatter_add_(0, bin, at::ones_like(bin));
}

}  // namespace

QuantiserSummary summarise_rows(const at::Tensor& rows, const std::vector<int64_t>& counted) {
  const auto count = static_cast<int64_t>(counted.size());
  auto summary = empty_summary(rows, count);
  const auto index = at::tensor(counted, at::kLong).to(rows.device());
  const int64_t together = std::max<int64_t>(1, kTogetherValues / rows.size(1));
  for (int64_t first = 0; first < count; first += together) {
    const int64_t length = std::min(together, count - first);
    const auto number = index.narrow(0, first, length);
    const auto x = rows.index_select(0, number);
    summary.kurtosis.narrow(0, first, length).copy_(excess_kurtosis(x));
    const auto magnitude = x.abs();
    widen_extrema(x, magnitude, number.to(at::kInt), summary);
    count_blocks(magnitude, kernels::kBlockChannels, summary.block16_histogram);
    count_blocks(magnitude, 2 * kernels::kBlockChannels, summary.block32_histogram);
  }
  return summary;
}

}  // namespace aten

}  // namespace actsweep
