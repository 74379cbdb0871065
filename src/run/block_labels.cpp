#include "run/block_labels.h"

#include <algorithm>

namespace actsweep {

int64_t BlockLabels::row_count() const {
  int64_t rows = 0;
  for (const auto& labels : own) rows += labels.row_count();
  return rows;
}

int64_t BlockLabels::first_row(size_t batch) const {
  int64_t row = 0;
  for (size_t i = 0; i < batch; ++i) row += own[i].row_count();
  return row;
}

std::vector<RowCounts> owned_counts(const SweepInputs& inputs, WindowRange range, int64_t members,
                                    int64_t member) {
  std::vector<RowCounts> counts;
  for (const auto microbatch : inputs.segments.microbatches(range)) {
    const auto owned = owned_windows(microbatch, members, member);
    const auto& windows = inputs.windows;
    counts.push_back(
        {.tokens = windows.tokens_before(owned.end) - windows.tokens_before(owned.begin),
         .sequences = owned.size()});
  }
  return counts;
}

BlockLabels label_block(const SweepInputs& inputs, WindowRange block, int64_t segment_begin,
                        int64_t members, int64_t member) {
  BlockLabels labels;
  labels.before = sum_of(owned_counts(inputs, {segment_begin, block.begin}, members, member));
  labels.owned = sum_of(owned_counts(inputs, block, members, member));
  labels.tokens =
      inputs.windows.tokens_before(block.end) - inputs.windows.tokens_before(block.begin);
  for (const auto microbatch : inputs.segments.microbatches(block)) {
    labels.own.push_back(owned_rows(inputs.windows, inputs.corpus, microbatch, members, member));
    if (inputs.job.sees_gathered_rows()) {
      auto& all = labels.members.emplace_back();
      for (int64_t other = 0; other < members; ++other) {
        all.push_back(owned_rows(inputs.windows, inputs.corpus, microbatch, members, other));
      }
    }
    labels.longest = std::max(labels.longest, labels.own.back().padded_length);
  }
  return labels;
}

BlockLabels label_prompt(const SweepInputs& inputs, const Prompt& prompt, int64_t member) {
  BlockLabels labels;
  labels.own = {owned_prompt(inputs.corpus, prompt, member)};
  labels.tokens = labels.longest = static_cast<int64_t>(prompt.ids.size());
  return labels;
}

}  // namespace actsweep
