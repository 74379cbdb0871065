#include "weights/share.h"

#include <algorithm>

namespace actsweep {
namespace {

/// Cuts a rank's query heads at the borders of their key/value groups: a partial group, whole
/// groups, a partial group.
std::vector<HeadRun> head_runs(Share query, int64_t group) {
  std::vector<HeadRun> runs;
  const int64_t first_key = query.begin / group;
  int64_t head = query.begin;
  while (head < query.end) {
    const int64_t whole_groups = head % group == 0 ? (query.end - head) / group : 0;
    const int64_t next = whole_groups > 0 ? head + whole_groups * group
                                          : std::min(query.end, (head / group + 1) * group);
    runs.push_back({head - query.begin, next - head, head / group - first_key,
                    std::max<int64_t>(1, whole_groups)});
    head = next;
  }
  return runs;
}

/// The keys that neighbouring queries need, of which `group` share each.
Share keys_of(Share queries, int64_t group) {
  return {queries.begin / group, (queries.end - 1) / group + 1};
}

}  // namespace

Share cut_evenly(int64_t total, int64_t parts, int64_t index) {
  return {total * index / parts, total * (index + 1) / parts};
}

namespace {

void share_states(const StateFacts& states, int64_t parts, int64_t index, ModelShare& share) {
  share.state_heads = cut_evenly(states.heads, parts, index);
  if (share.state_heads.size() == 0) return;
  share.state_groups = keys_of(share.state_heads, states.heads_per_group());
  share.state_runs = head_runs(share.state_heads, states.heads_per_group());
}

}  // namespace

int64_t most_dense_neurons(const ModelShare& share) {
  return std::max({share.ffn.size(), share.other_ffn.size(), share.shared_ffn.size()});
}

ModelShare share_of(const Architecture& a, int64_t parts, int64_t index) {
  ModelShare share;
  share.query_heads = cut_evenly(a.heads, parts, index);
  share.ffn = cut_evenly(a.ffn_width, parts, index);
  share.other_ffn = cut_evenly(a.other_mlp.width, parts, index);
  share.shared_ffn = cut_evenly(a.experts.shared_width, parts, index);
  share.experts = cut_evenly(a.experts.count, parts, index);
  share.delta_heads = cut_evenly(a.delta.key_heads, parts, index);
  share.convolved = cut_evenly(a.convolution.channels, parts, index);
  share.selective = cut_evenly(a.selective.channels, parts, index);
  share_states(a.states, parts, index, share);
  share.vocabulary = cut_evenly(a.vocabulary, parts, index);
  if (share.query_heads.size() == 0) return share;
  const int64_t group = a.heads / a.kv_heads;
  share.key_heads = keys_of(share.query_heads, group);
  if (a.has_other_heads()) {
    share.other_key_heads = keys_of(share.query_heads, a.heads / a.other_heads.kv_heads);
  }
  share.repeats_first_key = share.query_heads.begin % group != 0;
  share.runs = head_runs(share.query_heads, group);
  return share;
}

namespace {

Share cut_of(const ModelShare& share, const TensorRow& row) {
  switch (row.cut) {
    case Cut::kNone:
      return {0, row.all_units()};
    case Cut::kQueryHeads:
      return share.query_heads;
    case Cut::kKeyHeads:
      return row.layers == TensorRow::Layers::kOtherHeads ? share.other_key_heads : share.key_heads;
    case Cut::kFeedForward:
      return share.ffn;
    case Cut::kOtherFeedForward:
      return share.other_ffn;
    case Cut::kSharedFeedForward:
      return share.shared_ffn;
    case Cut::kExperts:
      return share.experts;
    case Cut::kVocabulary:
      return share.vocabulary;
    case Cut::kDeltaHeads:
      return share.delta_heads;
    case Cut::kConvolved:
      return share.convolved;
    case Cut::kStateHeads:
      return share.state_heads;
    case Cut::kStateGroups:
      return share.state_groups;
    case Cut::kSelective:
      return share.selective;
  }
  return {};
}

}  // namespace

Share units_of(const ModelShare& share, const TensorRow& row) {
  const auto held = cut_of(share, row);
  if (row.only_unit < 0) return {held.begin * row.per_cut, held.end * row.per_cut};
  const bool is_mine = held.begin <= row.only_unit && row.only_unit < held.end;
  return {0, is_mine ? row.all_units() : 0};
}

}  // namespace actsweep
