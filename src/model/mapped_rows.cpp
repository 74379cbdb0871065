#include "model/mapped_rows.h"

#include "weights/stage.h"

namespace actsweep {

at::Tensor mapped(const Checkpoint& checkpoint, Weight weight) {
  for (const auto& row : checkpoint.rows()) {
    if (row.weight == weight) return mapped_tensor(checkpoint.tensor(row, 0));
  }
  return {};
}

at::Tensor rows_on(at::Device device, const at::Tensor& table, const at::Tensor& id) {
  if (device.is_cpu()) return table.index_select(0, id);
  auto rows = at::empty({id.size(0), table.size(1)}, table.options().pinned_memory(true));
  at::index_select_out(rows, table, 0, id);
  return rows.to(device, /*non_blocking=*/true);
}

}  // namespace actsweep
