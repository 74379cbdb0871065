#include "model/norms.h"

#include <ATen/ATen.h>

namespace actsweep {

Norm norm_of(const Architecture& architecture, const StageWeights& weights, Weight weight) {
  const auto& facts = architecture.norm;
  const auto bias = bias_of(weight);
  return {facts.kind, weights[weight], bias ? weights[*bias] : at::Tensor(), facts.epsilon,
          facts.weight_offset};
}

at::Tensor final_norm(const Architecture& architecture, const StageWeights& head,
                      const at::Tensor& rows) {
  auto normed = at::empty_like(rows);
  const auto norm = norm_of(architecture, head, Weight::kFinalNorm);
  row_ops_of(rows.device()).normalise(rows, norm, normed);
  return normed;
}

}  // namespace actsweep
