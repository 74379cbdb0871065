#include "measure/quantiser_rows.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>
#include <limits>

#include "measure/quantiser_kernels.h"

namespace actsweep {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Of no row.
QuantiserSummary empty_summary(const at::Tensor& rows, int64_t counted) {
  const int64_t channels = rows.size(1);
  return {at::full({channels}, kInfinity, rows.options()),
          at::full({channels}, -kInfinity, rows.options()),
          at::empty({counted}, rows.options().dtype(at::kDouble))};
}

/// What one thread has seen.
struct Extrema {
  std::vector<float> lowest;   // [C]
  std::vector<float> highest;  // [C]
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
  std::vector<Extrema> of_thread(static_cast<size_t>(threads));
#pragma omp parallel num_threads(threads)
  {
    auto& [lowest, highest] = of_thread[static_cast<size_t>(omp_get_thread_num())];
    lowest.assign(channels, kInfinity);
    highest.assign(channels, -kInfinity);
#pragma omp for schedule(static)
    for (size_t i = 0; i < counted.size(); ++i) {
      const std::span<const float> row(values + counted[i] * channels, channels);
      kurtosis[i] = kernels::excess_kurtosis(row);
      kernels::widen_extrema(row, lowest.data(), highest.data());
    }
  }
  auto* lowest = summary.lowest.mutable_data_ptr<float>();
  auto* highest = summary.highest.mutable_data_ptr<float>();
  for (const auto& seen : of_thread) {
    for (size_t channel = 0; channel < seen.lowest.size(); ++channel) {
      lowest[channel] = std::min(lowest[channel], seen.lowest[channel]);
      highest[channel] = std::max(highest[channel], seen.highest[channel]);
    }
  }
  return summary;
}

}  // namespace cpu

namespace aten {

namespace {

/// [n] of x [n, C] float32. The sum of equal values is exact, so that they do not spread.
at::Tensor excess_kurtosis(const at::Tensor& x) {
  const auto channels = x.size(1);
  const auto mean_of = [&](const at::Tensor& terms) { return terms.sum(1, true).div(channels); };
  const auto value = x.to(at::kDouble);
  const auto square = value.sub(mean_of(value)).square_();
  const auto second = mean_of(square), fourth = mean_of(square.square());
  const auto kurtosis = fourth.div(second.square()).sub(3);
  return kurtosis.masked_fill(second.eq(0), std::numeric_limits<double>::quiet_NaN()).squeeze(1);
}

}  // namespace

QuantiserSummary summarise_rows(const at::Tensor& rows, const std::vector<int64_t>& counted) {
  const auto count = static_cast<int64_t>(counted.size());
  auto summary = empty_summary(rows, count);
  const auto index = at::tensor(counted, at::kLong).to(rows.device());
  const int64_t together = std::max<int64_t>(1, kTogetherValues / rows.size(1));
  for (int64_t first = 0; first < count; first += together) {
    const int64_t length = std::min(together, count - first);
    const auto x = rows.index_select(0, index.narrow(0, first, length));
    at::minimum_out(summary.lowest, summary.lowest, x.amin(0));
    at::maximum_out(summary.highest, summary.highest, x.amax(0));
    summary.kurtosis.narrow(0, first, length).copy_(excess_kurtosis(x));
  }
  return summary;
}

}  // namespace aten

}  // namespace actsweep
