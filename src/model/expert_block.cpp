#include "model/expert_block.h"

#include <ATen/ATen.h>

namespace actsweep {

ExpertBlock::ExpertBlock(int64_t gathered_rows, int64_t channels, const at::TensorOptions& options)
    : input_(at::empty({gathered_rows, channels}, options)),
      sum_(at::empty({gathered_rows, channels}, options.dtype(at::kFloat))) {}

ExpertRows ExpertBlock::rows(int64_t first, int64_t count) const {
  return {input_.narrow(0, first, count), sum_.narrow(0, first, count), {}, {}};
}

int64_t expert_block_bytes(const Architecture& architecture, int64_t gathered_rows,
                           at::ScalarType dtype) {
  const auto& experts = architecture.experts;
  if (experts.count == 0) return 0;
  const int64_t input_and_sum =
      architecture.channels * (static_cast<int64_t>(elementSize(dtype)) + 4);
  // A choice's expert and weight; in the order of the experts its row, weight and place.
  const int64_t routing = experts.chosen * (8 + 4 + 8 + 4 + 8);
  return gathered_rows * (input_and_sum + routing);
}

}  // namespace actsweep
