#include "model/mlp.h"

#include <ATen/ATen.h>

#include "kernels/ops.h"
#include "kernels/product.h"
#include "kernels/xielu.h"

namespace actsweep {

void mlp_hidden(const Architecture& a, const StageWeights& weights, const LayerView& view,
                const at::Tensor& rows, at::Tensor& wide, at::Tensor& hidden) {
  const int64_t neurons = hidden.size(1);
  auto& projected = a.is_gated ? wide : hidden;
  if (neurons > 0) project(rows, weights[Weight::kGateUp], weights[Weight::kGateUpBias], projected);
  if (a.gate_scale != 1) wide.narrow(1, 0, neurons).mul_(a.gate_scale);
  if (a.is_gated) view.show(Site::kGate, wide.narrow(1, 0, neurons));
  view.show(Site::kUp, a.is_gated ? wide.narrow(1, neurons, neurons) : hidden);
  const auto& ops = row_ops_of(rows.device());
  if (neurons > 0 && a.is_gated) ops.gate(wide, a.activation, hidden);
  if (neurons > 0 && !a.is_gated) {
    a.has_xielu ? xielu(weights[Weight::kXielu], hidden) : ops.activate(hidden, a.activation);
  }
  if (neurons > 0 && weights.has(Weight::kSharedGate)) {
    auto gates = at::empty({rows.size(0), 1}, rows.options());
    project(rows, weights[Weight::kSharedGate], {}, gates);
    hidden.mul_(at::sigmoid(gates));
  }
  view.show(Site::kMlpHidden, hidden);
}

}  // namespace actsweep
