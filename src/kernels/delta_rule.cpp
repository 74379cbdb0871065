#include "kernels/delta_rule.h"

#include <ATen/ATen.h>

#include "kernels/gated_states.h"

namespace actsweep {
namespace {

constexpr double kLengthEpsilon = 1e-6;

/// What each position writes: b_i (v_i - a_i k_i S) less what the positions before it in the chunk
/// have written at its key, by forward substitution. [N * R, c, Dv].
at::Tensor written_values(const StateChunk& chunk, const at::Tensor& strength,
                          const at::Tensor& state, const StateLengths& l) {
  const auto keys = at::bmm(chunk.key, chunk.key.transpose(1, 2)).unsqueeze(1);
  const auto system = (chunk.between * keys).mul_(strength);
  const auto wanted = (chunk.value - chunk.read(chunk.key, state, l)).mul_(strength);
  return at::linalg_solve_triangular(system.view({l.all(), chunk.count, chunk.count}),
                                     wanted.reshape({l.all(), chunk.count, l.value}),
                                     /*upper=*/false, /*left=*/true, /*unitriangular=*/true);
}

}  // namespace

at::Tensor gated_delta_rule(const DeltaRows& rows) {
  return run_gated_states(
      {rows.query, rows.key, rows.value, rows.decay},
      [&](const StateChunk& chunk, const at::Tensor& state, const StateLengths& l) {
        return written_values(chunk, chunk.of_heads(rows.strength, l), state, l);
      });
}

at::Tensor unit_heads(const at::Tensor& rows, int64_t positions, int64_t width) {
  const auto heads =
      rows.view({-1, positions, rows.size(1) / width, width}).transpose(1, 2).contiguous();
  return heads * (heads.square().sum(-1, /*keepdim=*/true) + kLengthEpsilon).rsqrt();
}

}  // namespace actsweep
