#include "run/block_labels.h"

#include <algorithm>
#include <set>

#include "job/token_sample.h"

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

std::vector<int64_t> tokens_with_event(const BlockLabels& labels, std::span<const Event> events) {
  std::set<int64_t> with_event;
  for (const auto& event : events) with_event.insert(event.token);
  std::vector<int64_t> selected;
  int64_t own_token = 0;
  for (const auto& batch : labels.own) {
    for (const auto& window : batch.windows) {
      for (int64_t i = 0; i < window.length(); ++i, ++own_token) {
        if (with_event.contains(window.first_token + i)) selected.push_back(own_token);
      }
    }
  }
  return selected;
}

std::vector<RowCounts> owned_counts(const SweepInputs& inputs, WindowRange range, int64_t members,
                                    int64_t member) {
  const auto sample = sample_of(inputs.job.store);
  std::vector<RowCounts> counts;
  for (const auto microbatch : inputs.segments.microbatches(range)) {
    const auto owned = owned_windows(microbatch, members, member);
    const int64_t begin = inputs.windows.tokens_before(owned.begin);
    const int64_t end = inputs.windows.tokens_before(owned.end);
    counts.push_back({.tokens = end - begin,
                      .sequences = owned.size(),
                      .stored = sample.is_known() ? sample.count(begin, end) : 0});
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
