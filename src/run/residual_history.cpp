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
  has_layer_ = true;
  keep(batch, seen_[batch], before_);
}

void ResidualHistory::see_between(size_t batch, const at::Tensor& rows) {
  keep(batch, rows, between_);
}

at::Tensor ResidualHistory::before(size_t batch) const { return rows_of(batch, before_); }

at::Tensor ResidualHistory::between(size_t batch) const { return rows_of(batch, between_); }

void ResidualHistory::keep(size_t batch, const at::Tensor& rows, at::Tensor& all) const {
  const int64_t needed = labels_->row_count();
  if (!all.defined() || all.size(0) < needed) {
    all = at::empty({needed, rows.size(1)}, rows.options());
  }
  rows_of(batch, all).copy_(rows);
}

at::Tensor ResidualHistory::rows_of(size_t batch, const at::Tensor& all) const {
  if (!has_layer_) return {};
  return all.narrow(0, labels_->first_row(batch), labels_->own[batch].row_count());
}

}  // namespace actsweep
