#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <vector>

#include "kernels/cpu_rows.h"
#include "kernels/ops.h"

namespace actsweep::cpu {
namespace {

constexpr int64_t kRowsPerTask = 8;

/// What a kernel over one row needs of a norm.
struct RowNorm {
  int64_t channels;
  float epsilon;
  float offset;
  bool is_centred;      // LayerNorm
  const float* weight;  // [channels]
  const float* bias;    // [channels] or null
};

/// erf within 1.5e-7 (Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26).
ACTSWEEP_INLINE float error_function(float x) {
  const float magnitude = x < 0 ? -x : x;
  const float t = 1.0f / (1.0f + 0.3275911f * magnitude);
  float p = 1.061405429f;
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const float value = 1.0f - p * t * exponential(-magnitude * magnitude);
  return x < 0 ? -value : value;
}

template <Activation kActivation>
ACTSWEEP_INLINE float activated(float x) {
  if constexpr (kActivation == Activation::kSilu) return x / (1.0f + exponential(-x));
  if constexpr (kActivation == Activation::kGelu) {
    return 0.5f * x * (1.0f + error_function(x * 0.70710678f));
  }
  if constexpr (kActivation == Activation::kGeluTanh) {
    // 0.5 (1 + tanh(u)) = 1 / (1 + exp(-2u))
    const float u = 0.79788456f * (x + 0.044715f * x * x * x);
    return x / (1.0f + exponential(-2.0f * u));
  }
  if constexpr (kActivation == Activation::kQuickGelu) {
    return x / (1.0f + exponential(-1.702f * x));
  }
  const float positive = x > 0 ? x : (x == x ? 0.0f : x);
  return kActivation == Activation::kSquaredRelu ? positive * positive : positive;
}

template <typename From, typename To>
ACTSWEEP_INLINE void norm_row(const From* x, const RowNorm& norm, To* out) {
  float mean = 0, squares = 0;
  if (norm.is_centred) {
#pragma omp simd reduction(+ : mean)
    for (int64_t c = 0; c < norm.channels; ++c) mean += widen(x[c]);
    mean /= static_cast<float>(norm.channels);
  }
#pragma omp simd reduction(+ : squares)
  for (int64_t c = 0; c < norm.channels; ++c) {
    const float centred = widen(x[c]) - mean;
    squares += centred * centred;
  }
  const float scale = 1.0f / std::sqrt(squares / static_cast<float>(norm.channels) + norm.epsilon);
  if (norm.bias == nullptr) {
#pragma omp simd
    for (int64_t c = 0; c < norm.channels; ++c) {
      narrow((widen(x[c]) - mean) * scale * (norm.weight[c] + norm.offset), out[c]);
    }
    return;
  }
#pragma omp simd
  for (int64_t c = 0; c < norm.channels; ++c) {
    narrow((widen(x[c]) - mean) * scale * (norm.weight[c] + norm.offset) + norm.bias[c], out[c]);
  }
}

template <typename T>
ACTSWEEP_INLINE void add_row(float* x, const T* partial, int64_t channels) {
#pragma omp simd
  for (int64_t c = 0; c < channels; ++c) x[c] += widen(partial[c]);
}

/// x += norm(partial), with `normed` [channels] for work.
template <typename T>
ACTSWEEP_INLINE void add_normed_row(float* x, const T* partial, const RowNorm& norm,
                                    float* normed) {
  norm_row(partial, norm, normed);
  add_row(x, normed, norm.channels);
}

struct Rotation {
  int64_t heads;
  int64_t width;  // D
  int64_t half;   // pairs
  bool is_interleaved;
  const float* cos;  // [half] at the row's position
  const float* sin;
};

template <typename T>
ACTSWEEP_INLINE void rotate_row(T* row, const Rotation& rotation) {
  for (int64_t head = 0; head < rotation.heads; ++head) {
    T* first = row + head * rotation.width;
    const float *cos = rotation.cos, *sin = rotation.sin;
    if (rotation.is_interleaved) {
      for (int64_t i = 0; i < rotation.half; ++i) {
        const float a = widen(first[2 * i]), b = widen(first[2 * i + 1]);
        narrow(a * cos[i] - b * sin[i], first[2 * i]);
        narrow(b * cos[i] + a * sin[i], first[2 * i + 1]);
      }
      continue;
    }
    T* second = first + rotation.half;
#pragma omp simd
    for (int64_t i = 0; i < rotation.half; ++i) {
      const float a = widen(first[i]), b = widen(second[i]);
      narrow(a * cos[i] - b * sin[i], first[i]);
      narrow(b * cos[i] + a * sin[i], second[i]);
    }
  }
}

template <Activation kActivation, typename T>
ACTSWEEP_INLINE void gate_row(const T* gate_up, int64_t width, T* hidden) {
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) {
    narrow(activated<kActivation>(widen(gate_up[i])) * widen(gate_up[width + i]), hidden[i]);
  }
}

template <Activation kActivation, typename T>
ACTSWEEP_INLINE void activate_row(T* hidden, int64_t width) {
#pragma omp simd
  for (int64_t i = 0; i < width; ++i) {
    narrow(activated<kActivation>(widen(hidden[i])), hidden[i]);
  }
}

template <typename T>
ACTSWEEP_INLINE void gate_by(Activation activation, const T* gate_up, int64_t width, T* hidden) {
  switch (activation) {
    case Activation::kSilu:
      return gate_row<Activation::kSilu>(gate_up, width, hidden);
    case Activation::kGelu:
      return gate_row<Activation::kGelu>(gate_up, width, hidden);
    case Activation::kGeluTanh:
      return gate_row<Activation::kGeluTanh>(gate_up, width, hidden);
    case Activation::kRelu:
      return gate_row<Activation::kRelu>(gate_up, width, hidden);
    case Activation::kQuickGelu:
      return gate_row<Activation::kQuickGelu>(gate_up, width, hidden);
    case Activation::kSquaredRelu:
      return gate_row<Activation::kSquaredRelu>(gate_up, width, hidden);
  }
}

template <typename T>
ACTSWEEP_INLINE void activate_by(Activation activation, T* hidden, int64_t width) {
  switch (activation) {
    case Activation::kSilu:
      return activate_row<Activation::kSilu>(hidden, width);
    case Activation::kGelu:
      return activate_row<Activation::kGelu>(hidden, width);
    case Activation::kGeluTanh:
      return activate_row<Activation::kGeluTanh>(hidden, width);
    case Activation::kRelu:
      return activate_row<Activation::kRelu>(hidden, width);
    case Activation::kQuickGelu:
      return activate_row<Activation::kQuickGelu>(hidden, width);
    case Activation::kSquaredRelu:
      return activate_row<Activation::kSquaredRelu>(hidden, width);
  }
}

#define ACTSWEEP_FOR_TYPE(T)                                                                      \
  ACTSWEEP_CLONES void norm(const float* x, const RowNorm& facts, T* out) {                       \
    norm_row(x, facts, out);                                                                      \
  }                                                                                               \
  ACTSWEEP_CLONES void norm_in_place(T* x, const RowNorm& facts) { norm_row(x, facts, x); }       \
  ACTSWEEP_CLONES void add(float* x, const T* partial, int64_t channels) {                        \
    add_row(x, partial, channels);                                                                \
  }                                                                                               \
  ACTSWEEP_CLONES void add_normed(float* x, const T* partial, const RowNorm& facts,               \
                                  float* normed) {                                                \
    add_normed_row(x, partial, facts, normed);                                                    \
  }                                                                                               \
  ACTSWEEP_CLONES void turn(T* row, const Rotation& rotation) { rotate_row(row, rotation); }      \
  ACTSWEEP_CLONES void gated(Activation activation, const T* gate_up, int64_t width, T* hidden) { \
    gate_by(activation, gate_up, width, hidden);                                                  \
  }                                                                                               \
  ACTSWEEP_CLONES void act(Activation activation, T* hidden, int64_t width) {                     \
    activate_by(activation, hidden, width);                                                       \
  }
ACTSWEEP_FOR_TYPE(float)
ACTSWEEP_FOR_TYPE(at::BFloat16)
ACTSWEEP_FOR_TYPE(at::Half)
#undef ACTSWEEP_FOR_TYPE

template <typename Body>
void over_rows(int64_t rows, const Body& body) {
  at::parallel_for(0, rows, kRowsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) body(row);
  });
}

RowNorm row_norm(const Norm& norm, int64_t channels) {
  return {channels,
          static_cast<float>(norm.epsilon),
          static_cast<float>(norm.offset),
          norm.kind == NormKind::kLayer,
          norm.weight.const_data_ptr<float>(),
          norm.bias.defined() ? norm.bias.const_data_ptr<float>() : nullptr};
}

template <typename T>
T* data_of(const at::Tensor& tensor, T* /*type*/) {
  return static_cast<T*>(tensor.data_ptr());
}

void normalise(const at::Tensor& residual, const Norm& norm_facts, at::Tensor& out) {
  const int64_t channels = residual.size(1);
  const auto facts = row_norm(norm_facts, channels);
  const auto* x = residual.const_data_ptr<float>();
  with_type(out.scalar_type(), [&](auto* type) {
    auto* target = data_of(out, type);
    over_rows(residual.size(0),
              [&](int64_t r) { norm(x + r * channels, facts, target + r * channels); });
  });
}

void add_and_normalise(at::Tensor& residual, const at::Tensor& partial, const Norm& norm_facts,
                       at::Tensor& out) {
  const int64_t channels = residual.size(1);
  const auto facts = row_norm(norm_facts, channels);
  auto* x = residual.data_ptr<float>();
  with_type(out.scalar_type(), [&](auto* out_type) {
    auto* target = data_of(out, out_type);
    with_type(partial.scalar_type(), [&](auto* type) {
      const auto* sum = data_of(partial, type);
      over_rows(residual.size(0), [&](int64_t r) {
        const int64_t at = r * channels;
        add(x + at, sum + at, channels);
        norm(x + at, facts, target + at);
      });
    });
  });
}

void add_rows(at::Tensor& residual, const at::Tensor& partial) {
  const int64_t channels = residual.size(1);
  auto* x = residual.data_ptr<float>();
  with_type(partial.scalar_type(), [&](auto* type) {
    const auto* sum = data_of(partial, type);
    over_rows(residual.size(0),
              [&](int64_t r) { add(x + r * channels, sum + r * channels, channels); });
  });
}

void add_normalised(at::Tensor& residual, const at::Tensor& partial, const Norm& norm_facts) {
  const int64_t channels = residual.size(1);
  const auto facts = row_norm(norm_facts, channels);
  auto* x = residual.data_ptr<float>();
  with_type(partial.scalar_type(), [&](auto* type) {
    const auto* sum = data_of(partial, type);
    over_rows(residual.size(0), [&](int64_t r) {
      thread_local std::vector<float> normed;
      normed.resize(channels);
      add_normed(x + r * channels, sum + r * channels, facts, normed.data());
    });
  });
}

void normalise_heads(at::Tensor& qkv, const HeadRange& heads, const Norm& norm_facts) {
  const auto facts = row_norm(norm_facts, heads.width);
  const bool has_own_weights = norm_facts.weight.numel() > heads.width;
  with_type(qkv.scalar_type(), [&](auto* type) {
    auto* rows = data_of(qkv, type);
    over_rows(qkv.size(0), [&](int64_t r) {
      for (int64_t head = 0; head < heads.count; ++head) {
        auto own = facts;
        if (has_own_weights) {
          own.weight += head * heads.width;
          if (own.bias != nullptr) own.bias += head * heads.width;
        }
        norm_in_place(rows + r * qkv.size(1) + (heads.first + head) * heads.width, own);
      }
    });
  });
}

void rotate(at::Tensor& qkv, const RotaryHeads& heads, const RotaryTable& table) {
  const int64_t width = qkv.size(1), half = table.cos.size(1);
  const auto* cos = table.cos.const_data_ptr<float>();
  const auto* sin = table.sin.const_data_ptr<float>();
  with_type(qkv.scalar_type(), [&](auto* type) {
    auto* rows = data_of(qkv, type);
    over_rows(qkv.size(0), [&](int64_t r) {
      const int64_t at = r % heads.positions * half;
      turn(rows + r * width,
           {heads.heads, heads.width, half, table.is_interleaved, cos + at, sin + at});
    });
  });
}

void gate(const at::Tensor& gate_up, Activation activation, at::Tensor& hidden) {
  const int64_t width = hidden.size(1);
  with_type(hidden.scalar_type(), [&](auto* type) {
    const auto* source = data_of(gate_up, type);
    auto* target = data_of(hidden, type);
    over_rows(hidden.size(0), [&](int64_t r) {
      gated(activation, source + r * 2 * width, width, target + r * width);
    });
  });
}

void activate(at::Tensor& hidden, Activation activation) {
  const int64_t width = hidden.size(1);
  with_type(hidden.scalar_type(), [&](auto* type) {
    auto* rows = data_of(hidden, type);
    over_rows(hidden.size(0), [&](int64_t r) { act(activation, rows + r * width, width); });
  });
}

}  // namespace
}  // namespace actsweep::cpu

namespace actsweep {

constinit const RowOps kCpuRowOps = {
    .normalise = cpu::normalise,
    .add_and_normalise = cpu::add_and_normalise,
    .add_rows = cpu::add_rows,
    .add_normalised = cpu::add_normalised,
    .normalise_heads = cpu::normalise_heads,
    .rotate = cpu::rotate,
    .gate = cpu::gate,
    .activate = cpu::activate,
    .add_weighted = add_weighted_on_cpu,
};

}  // namespace actsweep
