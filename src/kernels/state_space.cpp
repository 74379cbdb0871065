#include "kernels/state_space.h"

#include <ATen/ATen.h>

#include "kernels/gated_states.h"

namespace actsweep {

at::Tensor state_space(const StateSpaceRows& rows) {
  const auto by_group = [](const at::Tensor& x) { return x.transpose(1, 2).contiguous(); };
  const GatedStateRows states = {by_group(rows.read), by_group(rows.write),
                                 rows.input * rows.step.unsqueeze(3),
                                 (rows.step * rows.rate).neg_()};
  auto out = run_gated_states(
      states, [](const StateChunk& chunk, const at::Tensor&, const StateLengths& l) {
        return chunk.value.reshape({l.all(), chunk.count, l.value});
      });
  return out.addcmul_(rows.input, rows.skip.unsqueeze(1));
}

}  // namespace actsweep
