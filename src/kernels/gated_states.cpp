#include "kernels/gated_states.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

namespace actsweep {
namespace {

StateLengths lengths_of(const GatedStateRows& rows) {
  return {rows.key.size(0), rows.key.size(1), rows.value.size(2) / rows.key.size(1),
          rows.key.size(2), rows.key.size(3), rows.value.size(3)};
}

/// exp(decay_i - decay_j) for j <= i, else 0.
at::Tensor decays_between(const at::Tensor& decay) {
  const int64_t count = decay.size(2);
  const auto later = at::ones({count, count}, decay.options().dtype(at::kBool)).triu(1);
  return (decay - decay.transpose(2, 3))
      .masked_fill_(later, -std::numeric_limits<float>::infinity())
      .exp_();
}

StateChunk chunk_of(const GatedStateRows& rows, const StateLengths& l, int64_t begin) {
  const int64_t count = std::min(kStateChunk, l.positions - begin);
  const auto keys = [&](const at::Tensor& x) {
    return x.view({l.n(), l.positions, l.key}).narrow(1, begin, count);
  };
  const auto values = rows.value.narrow(1, begin, count).transpose(1, 2);
  StateChunk chunk = {begin,
                      count,
                      keys(rows.query),
                      keys(rows.key),
                      values.reshape({l.n(), l.heads, count, l.value}),
                      {},
                      {}};
  chunk.decay = chunk.of_heads(rows.decay, l).cumsum(2);
  chunk.between = decays_between(chunk.decay);
  return chunk;
}

/// The state behind a chunk.
at::Tensor state_after(const StateChunk& chunk, const at::Tensor& written, const at::Tensor& state,
                       const StateLengths& l) {
  const auto last = chunk.decay.narrow(2, chunk.count - 1, 1);  // [N, R, 1, 1]
  const auto kept =
      (state.view({l.n(), l.key, l.heads, l.value}) * last.exp().view({-1, 1, l.heads, 1}))
          .view({l.n(), l.key, l.heads * l.value});
  const auto decayed =
      written.view({l.n(), l.heads, chunk.count, l.value}) * (last - chunk.decay).exp();
  return at::baddbmm(kept, chunk.key.transpose(1, 2),
                     decayed.transpose(1, 2).reshape({l.n(), chunk.count, l.heads * l.value}));
}

}  // namespace

at::Tensor StateChunk::of_heads(const at::Tensor& all, const StateLengths& l) const {
  return all.narrow(1, begin, count).transpose(1, 2).reshape({l.n(), l.heads, count, 1});
}

at::Tensor StateChunk::read(const at::Tensor& rows, const at::Tensor& state,
                            const StateLengths& l) const {
  const auto found = at::bmm(rows, state).view({l.n(), count, l.heads, l.value}).transpose(1, 2);
  return found * decay.exp();
}

at::Tensor run_gated_states(const GatedStateRows& rows, const WrittenValues& written_values) {
  const auto l = lengths_of(rows);
  auto out = at::empty(rows.value.sizes(), rows.key.options());
  auto state = at::zeros({l.n(), l.key, l.heads * l.value}, rows.key.options());
  for (int64_t begin = 0; begin < l.positions; begin += kStateChunk) {
    const auto chunk = chunk_of(rows, l, begin);
    const int64_t count = chunk.count;
    const auto written = written_values(chunk, state, l);
    const auto queries = at::bmm(chunk.query, chunk.key.transpose(1, 2)).unsqueeze(1);
    const auto inside = at::bmm((chunk.between * queries).view({l.all(), count, count}), written)
                            .view({l.n(), l.heads, count, l.value});
    const auto found = inside + chunk.read(chunk.query, state, l);
    out.narrow(1, begin, count)
        .copy_(found.reshape({l.sequences, -1, count, l.value}).transpose(1, 2));
    if (begin + count < l.positions) state = state_after(chunk, written, state, l);
  }
  return out;
}

int64_t gated_state_bytes(int64_t rows, int64_t positions, const GatedStateSizes& sizes) {
  // Queries and keys with a copy, the output; of a chunk its decays, systems and products, and the
  // values that are read, wanted and written; two states.
  const int64_t sequences = (rows + positions - 1) / positions;
  const int64_t chunk = std::min(kStateChunk, positions);
  const int64_t key = sizes.key_width, value = sizes.value_width;
  const int64_t of_row = sizes.groups * 3 * key + sizes.heads * value;
  const int64_t of_chunk = chunk * (4 * chunk + 6 * value), state = 2 * key * value;
  return 4 * (rows * of_row + sequences * sizes.heads * (of_chunk + state));
}

}  // namespace actsweep
