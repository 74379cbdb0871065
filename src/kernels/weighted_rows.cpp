#include "kernels/weighted_rows.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "kernels/cpu_rows.h"

namespace actsweep {

namespace {

constexpr int64_t kRowsPerTask = 8;

/// This file is compiled without fused multiplies and additions.
template <typename T>
ACTSWEEP_INLINE void add_product(float* sum, const T* value, float weight, int64_t channels) {
#pragma omp simd
  for (int64_t c = 0; c < channels; ++c) sum[c] += cpu::widen(value[c]) * weight;
}

#define ACTSWEEP_FOR_TYPE(T)                                                             \
  ACTSWEEP_CLONES void add(float* sum, const T* value, float weight, int64_t channels) { \
    add_product(sum, value, weight, channels);                                           \
  }
ACTSWEEP_FOR_TYPE(float)
ACTSWEEP_FOR_TYPE(at::BFloat16)
ACTSWEEP_FOR_TYPE(at::Half)
#undef ACTSWEEP_FOR_TYPE

}  // namespace

void add_weighted_on_cpu(at::Tensor& sum, const WeightedRows& rows) {
  const int64_t channels = sum.size(1), count = rows.values.size(0), k = rows.places_of.size(1);
  auto* into = sum.mutable_data_ptr<float>();
  const auto* weight = rows.weight.const_data_ptr<float>();
  const auto* places = rows.places_of.const_data_ptr<int64_t>();
  cpu::with_type(rows.values.scalar_type(), [&](auto* type) {
    const auto* values = rows.values.const_data_ptr<std::remove_pointer_t<decltype(type)>>();
    at::parallel_for(0, sum.size(0), kRowsPerTask, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * k; i < end * k; ++i) {
        const int64_t place = places[i], at = place - rows.first;
        if (at < 0 || at >= count) continue;
        add(into + i / k * channels, values + at * channels, weight[place], channels);
      }
    });
  });
}

void add_weighted_by_aten(at::Tensor& sum, const WeightedRows& rows) {
  const int64_t count = rows.values.size(0);
  if (count == 0) return;
  for (int64_t j = 0; j < rows.places_of.size(1); ++j) {
    const auto place = rows.places_of.select(1, j);
    const auto at = (place - rows.first).clamp(0, count - 1);
    const auto is_held = (place - rows.first).eq(at).unsqueeze(1);
    const auto value = rows.values.index_select(0, at).to(at::kFloat);
    const auto product = value * rows.weight.index_select(0, place).unsqueeze(1);
    sum.add_(at::where(is_held, product, at::zeros_like(product)));
  }
}

}  // namespace actsweep
