#include "model/expert_block.h"

#include <ATen/ATen.h>

namespace actsweep {

ExpertBlock::ExpertBlock(const Architecture& a, int64_t gathered_rows, int64_t members,
                         const at::TensorOptions& options)
    : input_(at::empty({gathered_rows, a.channels}, options)),
      sum_(at::empty({gathered_rows, a.channels}, options.dtype(at::kFloat))),
      members_(members) {
  if (!a.experts.are_normed_apart) return;
  beside_ = at::empty({gathered_rows / members, a.channels}, options.dtype(at::kFloat));
}

ExpertRows ExpertBlock::rows(int64_t first, int64_t count) const {
  ExpertRows rows = {input_.narrow(0, first, count), sum_.narrow(0, first, count), {}, {}, {}};
  if (beside_.defined()) rows.beside = beside_.narrow(0, first / members_, count / members_);
  return rows;
}

int64_t expert_block_bytes(const Architecture& architecture, int64_t gathered_rows, int64_t members,
                           at::ScalarType dtype) {
  const auto& experts = architecture.experts;
  if (experts.count == 0) return 0;
  const int64_t input_and_sum =
      architecture.channels * (static_cast<int64_t>(elementSize(dtype)) + 4);
  // A choice's expert and weight; in the order of the experts its row, weight and place.
  const int64_t routing = experts.chosen * (8 + 4 + 8 + 4 + 8);
  const int64_t beside = experts.are_normed_apart ? 4 * architecture.channels : 0;
  return gathered_rows * (input_and_sum + routing) + gathered_rows / members * beside;
}

}  // namespace actsweep
