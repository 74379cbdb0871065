#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>

#include "model/cpu_rows.h"
#include "model/ops.h"

namespace actsweep::cpu {
namespace {

constexpr int64_t kRowsPerTask = 8;

template <typename T>
ACTSWEEP_INLINE void norm_row(const float* x, const float* weight, float epsilon, int64_t channels,
                              T* out) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t c = 0; c < channels; ++c) squares += x[c] * x[c];
  const float scale = 1.0f / std::sqrt(squares / static_cast<float>(channels) + epsilon);
#pragma omp simd
  for (int64_t c = 0; c < channels; ++c) narrow(x[c] * scale * weight[c], out[c]);
}

template <typename T>
ACTSWEEP_INLINE void add_row(float* x, const T* partial, int64_t channels) {
#pragma omp simd
  for (int64_t c = 0; c < channels; ++c) x[c] += widen(partial[c]);
}

template <typename T>
ACTSWEEP_INLINE void rotate_row(T* row, const RotaryHeads& heads, const float* cos,
                                const float* sin) {
  const int64_t half = heads.width / 2;
  for (int64_t head = 0; head < heads.heads; ++head) {
    T* first = row + head * heads.width;
    T* second = first + half;
#pragma omp simd
    for (int64_t i = 0; i < half; ++i) {
      const float a = widen(first[i]), b = widen(second[i]);
      narrow(a * cos[i] - b * sin[i], first[i]);
      narrow(b * cos[i] + a * sin[i], second[i]);
    }
  }
}

template <typename T>
ACTSWEEP_INLINE void gate_row(const T* gate_up, int64_t width, T* hidden) {
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) {
    const float g = widen(gate_up[i]);
    narrow(g / (1.0f + exponential(-g)) * widen(gate_up[width + i]), hidden[i]);
  }
}

// One clone per kernel and dtype: the attribute does not reach templates.
struct Row {
  int64_t channels;
  float epsilon;
  const float* weight;
};
ACTSWEEP_CLONES void norm(const float* x, const Row& r, float* out) {
  norm_row(x, r.weight, r.epsilon, r.channels, out);
}
ACTSWEEP_CLONES void norm(const float* x, const Row& r, at::BFloat16* out) {
  norm_row(x, r.weight, r.epsilon, r.channels, out);
}
ACTSWEEP_CLONES void norm(const float* x, const Row& r, at::Half* out) {
  norm_row(x, r.weight, r.epsilon, r.channels, out);
}
ACTSWEEP_CLONES void add(float* x, const float* partial, int64_t channels) {
  add_row(x, partial, channels);
}
ACTSWEEP_CLONES void add(float* x, const at::BFloat16* partial, int64_t channels) {
  add_row(x, partial, channels);
}
ACTSWEEP_CLONES void add(float* x, const at::Half* partial, int64_t channels) {
  add_row(x, partial, channels);
}
ACTSWEEP_CLONES void turn(float* row, const RotaryHeads& h, const float* cos, const float* sin) {
  rotate_row(row, h, cos, sin);
}
ACTSWEEP_CLONES void turn(at::BFloat16* row, const RotaryHeads& h, const float* cos,
                          const float* sin) {
  rotate_row(row, h, cos, sin);
}
ACTSWEEP_CLONES void turn(at::Half* row, const RotaryHeads& h, const float* cos, const float* sin) {
  rotate_row(row, h, cos, sin);
}
ACTSWEEP_CLONES void gated(const float* gate_up, int64_t width, float* hidden) {
  gate_row(gate_up, width, hidden);
}
ACTSWEEP_CLONES void gated(const at::BFloat16* gate_up, int64_t width, at::BFloat16* hidden) {
  gate_row(gate_up, width, hidden);
}
ACTSWEEP_CLONES void gated(const at::Half* gate_up, int64_t width, at::Half* hidden) {
  gate_row(gate_up, width, hidden);
}

template <typename Body>
void over_rows(int64_t rows, const Body& body) {
  at::parallel_for(0, rows, kRowsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) body(row);
  });
}

Row row_of(const Norm& norm, const at::Tensor& residual) {
  ensure(residual.is_contiguous(), "the residual stream is contiguous");
  return {residual.size(1), static_cast<float>(norm.epsilon), norm.weight.const_data_ptr<float>()};
}

}  // namespace

void rms_norm(const at::Tensor& residual, const Norm& norm_facts, at::Tensor& out) {
  const auto row = row_of(norm_facts, residual);
  const auto* x = residual.const_data_ptr<float>();
  with_type(out.scalar_type(), [&](auto* type) {
    auto* target = out.data_ptr<std::remove_pointer_t<decltype(type)>>();
    over_rows(residual.size(0),
              [&](int64_t r) { norm(x + r * row.channels, row, target + r * row.channels); });
  });
}

void add_and_norm(at::Tensor& residual, const at::Tensor& partial, const Norm& norm_facts,
                  at::Tensor& out) {
  const auto row = row_of(norm_facts, residual);
  auto* x = residual.data_ptr<float>();
  with_type(out.scalar_type(), [&](auto* out_type) {
    auto* target = out.data_ptr<std::remove_pointer_t<decltype(out_type)>>();
    with_type(partial.scalar_type(), [&](auto* type) {
      const auto* sum = partial.const_data_ptr<std::remove_pointer_t<decltype(type)>>();
      over_rows(residual.size(0), [&](int64_t r) {
        const int64_t at = r * row.channels;
        add(x + at, sum + at, row.channels);
        norm(x + at, row, target + at);
      });
    });
  });
}

void add_rows(at::Tensor& residual, const at::Tensor& partial) {
  const int64_t channels = residual.size(1);
  auto* x = residual.data_ptr<float>();
  with_type(partial.scalar_type(), [&](auto* type) {
    const auto* sum = partial.const_data_ptr<std::remove_pointer_t<decltype(type)>>();
    over_rows(residual.size(0),
              [&](int64_t r) { add(x + r * channels, sum + r * channels, channels); });
  });
}

void rotate(at::Tensor& qkv, const RotaryHeads& heads, const RotaryTable& table) {
  const int64_t width = qkv.size(1), half = heads.width / 2;
  const auto* cos = table.cos.const_data_ptr<float>();
  const auto* sin = table.sin.const_data_ptr<float>();
  with_type(qkv.scalar_type(), [&](auto* type) {
    auto* rows = qkv.data_ptr<std::remove_pointer_t<decltype(type)>>();
    over_rows(qkv.size(0), [&](int64_t r) {
      const int64_t position = r % heads.positions;
      turn(rows + r * width, heads, cos + position * half, sin + position * half);
    });
  });
}

void gate(const at::Tensor& gate_up, at::Tensor& hidden) {
  const int64_t width = hidden.size(1);
  with_type(hidden.scalar_type(), [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const auto* source = gate_up.const_data_ptr<T>();
    auto* target = hidden.data_ptr<T>();
    over_rows(hidden.size(0),
              [&](int64_t r) { gated(source + r * 2 * width, width, target + r * width); });
  });
}

}  // namespace actsweep::cpu
