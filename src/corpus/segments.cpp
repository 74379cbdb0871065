#include "corpus/segments.h"

#include <algorithm>

#include "base/error.h"

namespace actsweep {
namespace {

constexpr int64_t kSegmentsAimedAt = 64;
constexpr int64_t kLargestSegment = 1024 * 1024;

int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

/// Room for `sequences` padded sequences of `length` rows.
OwnedRows empty_rows(int64_t sequences, int64_t length) {
  OwnedRows rows;
  rows.padded_sequences = sequences;
  rows.padded_length = length;
  rows.token_id.assign(sequences * length, 0);
  rows.token_class.assign(sequences * length, 0);
  rows.document.assign(sequences * length, 0);
  return rows;
}

}  // namespace

int64_t SegmentPlan::segments() const {
  return (windows + windows_per_segment - 1) / windows_per_segment;
}

WindowRange SegmentPlan::segment(int64_t number) const {
  return {number * windows_per_segment, std::min(windows, (number + 1) * windows_per_segment)};
}

std::vector<WindowRange> SegmentPlan::microbatches(WindowRange range) const {
  return blocks(range, windows_per_microbatch);
}

std::vector<WindowRange> SegmentPlan::blocks(WindowRange range, int64_t block_windows) const {
  const int64_t step = std::max(windows_per_microbatch,
                                block_windows / windows_per_microbatch * windows_per_microbatch);
  std::vector<WindowRange> parts;
  for (int64_t begin = range.begin; begin < range.end; begin += step) {
    parts.push_back({begin, std::min(range.end, begin + step)});
  }
  return parts;
}

SegmentPlan plan_segments(const WindowPlan& windows, const Job& job, int64_t members) {
  return plan_segments(windows.windows(), windows.tokens(), job, members);
}

SegmentPlan plan_segments(int64_t windows, int64_t tokens_in_all, const Job& job, int64_t members) {
  SegmentPlan plan;
  plan.windows = windows;
  const int64_t length = job.corpus.sequence_length;
  const int64_t wanted = job.parallel.microbatch_tokens / length;
  plan.windows_per_microbatch = std::max<int64_t>(1, wanted / members) * members;
  const int64_t tokens = job.output.segment_tokens.value_or(std::clamp(
      round_up(tokens_in_all / kSegmentsAimedAt, kSegmentUnit), kSegmentUnit, kLargestSegment));
  plan.windows_per_segment =
      round_up(std::max<int64_t>(1, tokens / length), plan.windows_per_microbatch);
  return plan;
}

WindowRange owned_windows(WindowRange microbatch, int64_t members, int64_t member) {
  const int64_t per_member = round_up(microbatch.size(), members) / members;
  const int64_t first = std::min(microbatch.end, microbatch.begin + member * per_member);
  return {first, std::min(microbatch.end, first + per_member)};
}

OwnedRows owned_rows(const WindowPlan& plan, const Corpus& corpus, WindowRange microbatch,
                     int64_t members, int64_t member) {
  int64_t longest = 0;
  for (int64_t w = microbatch.begin; w < microbatch.end; ++w) {
    longest = std::max(longest, plan.window(w).length());
  }
  auto rows = empty_rows(round_up(microbatch.size(), members) / members, longest);
  if (corpus.has_roles()) rows.token_role.assign(rows.row_count(), 0);
  const auto owned = owned_windows(microbatch, members, member);
  for (int64_t w = owned.begin; w < owned.end; ++w) {
    const auto window = plan.window(w);
    const int64_t row = (w - owned.begin) * longest, first_rows = window.has_first ? 1 : 0;
    int64_t document = corpus.document_of(window.corpus_begin);
    if (!corpus.requests().empty()) rows.requests.push_back(corpus.requests()[document]);
    if (window.has_first) {
      rows.token_id[row] = *plan.first_id();
      rows.document[row] = document;
    }
    for (int64_t i = 0; i < window.corpus_length; ++i) {
      const int64_t token = window.corpus_begin + i;
      while (token >= corpus.document_offset()[document + 1]) ++document;
      const auto id = corpus.id(token);
      rows.token_id[row + first_rows + i] = id;
      rows.token_class[row + first_rows + i] = corpus.class_of(id);
      rows.document[row + first_rows + i] = document;
      if (corpus.has_roles()) rows.token_role[row + first_rows + i] = corpus.role(token);
    }
    if (corpus.kind() == CorpusKind::kText) rows.token_class[row] = 0;  // a class of its own
    rows.windows.push_back(window);
  }
  return rows;
}

OwnedRows owned_prompt(const Corpus& corpus, const Prompt& prompt, int64_t member) {
  const auto length = static_cast<int64_t>(prompt.ids.size());
  auto rows = empty_rows(1, length);
  if (member != 0) return rows;
  rows.token_id = prompt.ids;
  rows.document.assign(length, prompt.document);
  const int64_t first = corpus.kind() == CorpusKind::kText ? 1 : 0;
  for (int64_t i = first; i < length; ++i) rows.token_class[i] = corpus.class_of(prompt.ids[i]);
  rows.windows.push_back({0, 0, 0, length, false});
  return rows;
}

}  // namespace actsweep
