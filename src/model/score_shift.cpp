#include "model/score_shift.h"

#include <ATen/ATen.h>

#include "kernels/shifted_attention.h"

namespace actsweep {

at::Tensor score_shift(const LayerView& view, const Architecture& architecture,
                       const ModelShare& share, const at::Tensor& rows) {
  if (!view.shifts_scores()) return {};
  auto of_keys = at::zeros({rows.size(0), architecture.kv_heads}, rows.options().dtype(at::kFloat));
  view.observer->shift_scores(view.layer, of_keys);
  if (share.query_heads.size() == 0) return {};
  return of_query_heads(of_keys, share.runs, share.key_heads.begin);
}

}  // namespace actsweep
