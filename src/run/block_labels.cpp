#include "run/block_labels.h"

#include <algorithm>

namespace actsweep {
namespace {

/// The windows of a micro-batch that each member owns, as owned_rows deals them out.
std::vector<OwnedCounts> count_members(const SweepInputs& inputs, WindowRange microbatch,
                                       int64_t members) {
  const int64_t per_member = (microbatch.size() + members - 1) / members;
  std::vector<OwnedCounts> counts(members);
  for (int64_t member = 0; member < members; ++member) {
    const int64_t first = std::min(microbatch.end, microbatch.begin + member * per_member);
    const int64_t last = std::min(microbatch.end, first + per_member);
    counts[member].sequences = last - first;
    for (int64_t w = first; w < last; ++w)
      counts[member].tokens += inputs.windows.window(w).length();
  }
  return counts;
}

}  // namespace

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

BlockLabels label_block(const SweepInputs& inputs, WindowRange block, int64_t segment_begin,
                        int64_t members, int64_t member) {
  BlockLabels labels;
  labels.first_sequence = block.begin - segment_begin;
  labels.first_token = inputs.windows.window(block.begin).first_token -
                       inputs.windows.window(segment_begin).first_token;
  for (const auto microbatch : inputs.segments.microbatches(block)) {
    labels.own.push_back(owned_rows(inputs.windows, inputs.corpus, microbatch, members, member));
    if (inputs.job.sees_gathered_rows()) {
      auto& all = labels.members.emplace_back();
      for (int64_t other = 0; other < members; ++other) {
        all.push_back(owned_rows(inputs.windows, inputs.corpus, microbatch, members, other));
      }
    }
    labels.counts.push_back(count_members(inputs, microbatch, members));
    for (const auto& count : labels.counts.back()) {
      labels.tokens += count.tokens;
      labels.sequences += count.sequences;
    }
    labels.longest = std::max(labels.longest, labels.own.back().padded_length);
  }
  return labels;
}

BlockLabels label_prompt(const SweepInputs& inputs, const Prompt& prompt, int64_t members,
                         int64_t member) {
  BlockLabels labels;
  labels.own = {owned_prompt(inputs.corpus, prompt, member)};
  labels.counts = {std::vector<OwnedCounts>(members)};
  labels.tokens = labels.longest = static_cast<int64_t>(prompt.ids.size());
  labels.sequences = 1;
  labels.counts[0][0] = {labels.tokens, 1};
  return labels;
}

}  // namespace actsweep
