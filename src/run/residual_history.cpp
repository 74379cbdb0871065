#include "run/residual_history.h"

#include <ATen/ATen.h>

namespace actsweep {

void ResidualHistory::begin_block(const BlockLabels& labels) {
  labels_ = &labels;
  seen_.assign(labels.own.size(), {});
  has_layer_ = false;
}

void ResidualHistory::see(size_t batch, const at::Tensor& rows) { seen_[batch] = rows; }

void ResidualHistory::begin_layer(size_t batch) {
  const auto& rows = seen_[batch];
  const int64_t needed = labels_->row_count();
  if (!before_.defined() || before_.size(0) < needed) {
    before_ = at::empty({needed, rows.size(1)}, rows.options());
  }
  has_layer_ = true;
  before(batch).copy_(rows);
}

at::Tensor ResidualHistory::before(size_t batch) const {
  if (!has_layer_) return {};
  return before_.narrow(0, labels_->first_row(batch), labels_->own[batch].row_count());
}

}  // namespace actsweep
