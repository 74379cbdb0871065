#include "stats/lifecycle.h"

#include <ATen/ATen.h>

#include "schema/declare_statistics.h"
#include "stats/token_rows.h"

namespace actsweep {

Lifecycle::Lifecycle(const std::vector<int64_t>& channels, at::Device device)
    : datasets_(declare_lifecycle()), channels_(at::tensor(channels, at::kLong).to(device)) {}

void Lifecycle::begin_block(size_t batches) {
  before_.assign(batches, {});
  between_.assign(batches, {});
}

at::Tensor Lifecycle::chosen(const at::Tensor& rows) const {
  return rows.index_select(1, channels_);
}

void Lifecycle::see_between(size_t batch, const at::Tensor& rows) {
  between_[batch] = chosen(rows);
}

void Lifecycle::update(size_t batch, const at::Tensor& rows, const OwnedRows& own, RowSink& sink) {
  const auto value = chosen(rows);
  const bool is_embedding = !before_[batch].defined();
  const auto& before = is_embedding ? value : before_[batch];
  const auto& between = is_embedding ? value : between_[batch];
  const auto columns = at::stack({value, between - before, value - between});
  const auto by_token =
      columns.to(at::kCPU).view({3, own.padded_sequences, own.padded_length, channels_.size(0)});
  for (size_t i = 0; i < datasets_.size(); ++i) {
    append_token_rows(datasets_[i], by_token[static_cast<int64_t>(i)], own, sink);
  }
  before_[batch] = value;
}

}  // namespace actsweep
