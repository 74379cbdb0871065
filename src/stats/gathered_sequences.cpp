#include "stats/gathered_sequences.h"

#include <ATen/ATen.h>

namespace actsweep {

std::vector<GatheredSequence> gathered_sequences(const std::vector<OwnedRows>& members) {
  std::vector<GatheredSequence> sequences;
  int64_t first_row = 0;
  for (const auto& labels : members) {
    for (int64_t i = 0; i < labels.padded_sequences; ++i, first_row += labels.padded_length) {
      GatheredSequence sequence{.first_row = first_row};
      if (i < static_cast<int64_t>(labels.windows.size())) {
        sequence.length = labels.windows[i].length();
        sequence.sequence = labels.windows[i].sequence;
        sequence.token_class = labels.token_class.data() + i * labels.padded_length;
      }
      sequences.push_back(sequence);
    }
  }
  return sequences;
}

std::vector<GatheredSequence> finite_sequences(std::vector<GatheredSequence> sequences,
                                               const at::Tensor& rows, const Group& group) {
  // A float64 sum of narrower numbers does not overflow, so it is finite where all of them are.
  const auto is_finite = at::sum(rows, at::IntArrayRef{1}, false, at::kDouble).isfinite().cpu();
  auto is_left_out = at::zeros({static_cast<int64_t>(sequences.size())}, at::kLong);
  for (size_t i = 0; i < sequences.size(); ++i) {
    const auto mine = is_finite.narrow(0, sequences[i].first_row, sequences[i].length);
    is_left_out[static_cast<int64_t>(i)] = mine.all().item<bool>() ? 0 : 1;
  }
  auto agreed = is_left_out.to(rows.device());
  group.all_reduce(agreed, Reduction::kMax);
  agreed = agreed.cpu();
  for (size_t i = 0; i < sequences.size(); ++i) {
    if (agreed[static_cast<int64_t>(i)].item<int64_t>() != 0) sequences[i].length = 0;
  }
  return sequences;
}

}  // namespace actsweep
