#include "kernels/delta_rule.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

namespace actsweep {
namespace {

constexpr int64_t kChunk = 64;  // positions
constexpr double kLengthEpsilon = 1e-6;

/// The lengths that all tensors of a call share; N = B * H.
struct Lengths {
  int64_t sequences, heads, group, positions, key, value;

  int64_t n() const { return sequences * heads; }
  int64_t all() const { return n() * group; }
};

Lengths lengths_of(const DeltaRows& rows) {
  return {rows.key.size(0), rows.key.size(1), rows.value.size(2) / rows.key.size(1),
          rows.key.size(2), rows.key.size(3), rows.value.size(3)};
}

/// What a chunk of c positions brings.
struct DeltaChunk {
  at::Tensor query, key;  // [N, c, Dk]
  at::Tensor value;       // [N, G, c, Dv]
  at::Tensor strength;    // [N, G, c, 1]
  at::Tensor decay;       // [N, G, c, 1]: logarithm of the product from the chunk's start
};

DeltaChunk chunk_of(const DeltaRows& rows, const Lengths& l, int64_t begin, int64_t count) {
  const auto keys = [&](const at::Tensor& x) {
    return x.view({l.n(), l.positions, l.key}).narrow(1, begin, count);
  };
  const auto of_heads = [&](const at::Tensor& x) {
    return x.narrow(1, begin, count).transpose(1, 2).reshape({l.n(), l.group, count, 1});
  };
  const auto values = rows.value.narrow(1, begin, count).transpose(1, 2);
  return {keys(rows.query), keys(rows.key), values.reshape({l.n(), l.group, count, l.value}),
          of_heads(rows.strength), of_heads(rows.decay).cumsum(2)};
}

/// exp(decay_i - decay_j) for j <= i, else 0: [N, G, c, c].
at::Tensor decays_between(const DeltaChunk& chunk) {
  const int64_t count = chunk.decay.size(2);
  const auto later = at::ones({count, count}, chunk.decay.options().dtype(at::kBool)).triu(1);
  return (chunk.decay - chunk.decay.transpose(2, 3))
      .masked_fill_(later, -std::numeric_limits<float>::infinity())
      .exp_();
}

/// rows [N, c, Dk] times the states of all heads that share the key: [N, G, c, Dv].
at::Tensor read(const at::Tensor& rows, const at::Tensor& state, const Lengths& l) {
  return at::bmm(rows, state).view({l.n(), rows.size(1), l.group, l.value}).transpose(1, 2);
}

/// What each position writes: b_i (v_i - a_i k_i S) less what the positions before it in the chunk
/// have written at its key, by forward substitution. [N * G, c, Dv].
at::Tensor written_values(const DeltaChunk& chunk, const at::Tensor& between,
                          const at::Tensor& state, const Lengths& l) {
  const int64_t count = chunk.key.size(1);
  const auto keys = at::bmm(chunk.key, chunk.key.transpose(1, 2)).unsqueeze(1);
  const auto system = (between * keys).mul_(chunk.strength);
  const auto read_values = read(chunk.key, state, l) * chunk.decay.exp();
  const auto wanted = (chunk.value - read_values).mul_(chunk.strength);
  return at::linalg_solve_triangular(system.view({l.all(), count, count}),
                                     wanted.reshape({l.all(), count, l.value}), /*upper=*/false,
                                     /*left=*/true, /*unitriangular=*/true);
}

/// The state behind a chunk.
at::Tensor state_after(const DeltaChunk& chunk, const at::Tensor& written, const at::Tensor& state,
                       const Lengths& l) {
  const int64_t count = chunk.key.size(1);
  const auto last = chunk.decay.narrow(2, count - 1, 1);  // [N, G, 1, 1]
  const auto kept =
      (state.view({l.n(), l.key, l.group, l.value}) * last.exp().view({-1, 1, l.group, 1}))
          .view({l.n(), l.key, l.group * l.value});
  const auto decayed = written.view({l.n(), l.group, count, l.value}) * (last - chunk.decay).exp();
  return at::baddbmm(kept, chunk.key.transpose(1, 2),
                     decayed.transpose(1, 2).reshape({l.n(), count, l.group * l.value}));
}

}  // namespace

at::Tensor gated_delta_rule(const DeltaRows& rows) {
  const auto l = lengths_of(rows);
  auto out = at::empty(rows.value.sizes(), rows.key.options());
  auto state = at::zeros({l.n(), l.key, l.group * l.value}, rows.key.options());
  for (int64_t begin = 0; begin < l.positions; begin += kChunk) {
    const int64_t count = std::min(kChunk, l.positions - begin);
    const auto chunk = chunk_of(rows, l, begin, count);
    const auto between = decays_between(chunk);
    const auto written = written_values(chunk, between, state, l);
    const auto queries = at::bmm(chunk.query, chunk.key.transpose(1, 2)).unsqueeze(1);
    const auto inside = at::bmm((between * queries).view({l.all(), count, count}), written)
                            .view({l.n(), l.group, count, l.value});
    const auto read_values = inside + read(chunk.query, state, l) * chunk.decay.exp();
    out.narrow(1, begin, count)
        .copy_(read_values.reshape({l.sequences, -1, count, l.value}).transpose(1, 2));
    if (begin + count < l.positions) state = state_after(chunk, written, state, l);
  }
  return out;
}

at::Tensor unit_heads(const at::Tensor& rows, int64_t positions, int64_t width) {
  const auto heads =
      rows.view({-1, positions, rows.size(1) / width, width}).transpose(1, 2).contiguous();
  return heads * (heads.square().sum(-1, /*keepdim=*/true) + kLengthEpsilon).rsqrt();
}

int64_t delta_rule_bytes(int64_t rows, int64_t positions, int64_t heads, int64_t key_width,
                         int64_t value_width) {
  // Queries and keys with a copy, the output; of a chunk its decays, systems and products, and the
  // values that are read, wanted and written; two states.
  const int64_t sequences = (rows + positions - 1) / positions, chunk = std::min(kChunk, positions);
  const int64_t of_row = 3 * key_width + value_width;
  const int64_t of_chunk = chunk * (4 * chunk + 6 * value_width),
                state = 2 * key_width * value_width;
  return 4 * heads * (rows * of_row + sequences * (of_chunk + state));
}

}  // namespace actsweep
