#include "stats/gathered_sequences.h"

#include <ATen/ATen.h>

namespace actsweep {

GatheredSequences gathered_sequences(const std::vector<OwnedRows>& members, at::Device device) {
  GatheredSequences sequences;
  std::vector<int64_t> lengths;
  int64_t first_row = 0, positions = 0;
  for (const auto& labels : members) {
    positions = labels.padded_length;
    for (int64_t i = 0; i < labels.padded_sequences; ++i, first_row += labels.padded_length) {
      GatheredSequence sequence{.first_row = first_row};
      if (i < static_cast<int64_t>(labels.windows.size())) {
        sequence.length = labels.windows[i].length();
        sequence.sequence = labels.windows[i].sequence;
        sequence.token_class = labels.token_class.data() + i * labels.padded_length;
      }
      sequences.all.push_back(sequence);
      lengths.push_back(sequence.length);
    }
  }
  sequences.length = at::tensor(lengths, at::kLong).to(device);
  sequences.is_token = at::arange(positions, sequences.length.options())
                           .unsqueeze(0)
                           .lt(sequences.length.unsqueeze(1));
  return sequences;
}

at::Tensor finite_sequences(const GatheredSequences& sequences, const at::Tensor& rows,
                            const Group& group) {
  // A float64 sum of narrower numbers does not overflow, so it is finite where all of them are.
  const auto is_finite = at::sum(rows, at::IntArrayRef{1}, false, at::kDouble).isfinite();
  auto is_left_out = is_finite.view(sequences.is_token.sizes())
                         .logical_not()
                         .logical_and_(sequences.is_token)
                         .any(1)
                         .to(at::kLong);
  group.all_reduce(is_left_out, Reduction::kMax);
  return is_left_out.eq(0);
}

}  // namespace actsweep
