#include "model/norms.h"

namespace actsweep {

Norm norm_of(const Architecture& architecture, const StageWeights& weights, Weight weight) {
  const auto& facts = architecture.norm;
  const auto bias = bias_of(weight);
  return {facts.kind, weights[weight], bias ? weights[*bias] : at::Tensor(), facts.epsilon,
          facts.weight_offset};
}

}  // namespace actsweep
