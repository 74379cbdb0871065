#include "stats/gathered_sequences.h"

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

}  // namespace actsweep
