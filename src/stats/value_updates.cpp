#include "stats/value_updates.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/splitmix.h"
#include "stats/attention_scores.h"
#include "stats/declare_statistics.h"

namespace actsweep {
namespace {

constexpr int64_t kSelections = 2;  // the set itself, a random set

}  // namespace

std::vector<int64_t> draw_positions(uint64_t seed, int64_t count, int64_t total,
                                    const std::vector<int64_t>& taken) {
  std::vector<int64_t> left;
  for (int64_t i = 0; i < total; ++i) {
    if (!std::binary_search(taken.begin(), taken.end(), i)) left.push_back(i);
  }
  std::vector<int64_t> drawn;
  for (uint64_t i = 0; static_cast<int64_t>(i) < count && !left.empty(); ++i) {
    const auto at = static_cast<int64_t>(splitmix64(seed, i) % left.size());
    drawn.push_back(left[at]);
    left.erase(left.begin() + at);
  }
  std::sort(drawn.begin(), drawn.end());
  return drawn;
}

ValueUpdates::ValueUpdates(const KeySets& sets, const Group& group, const HeadPlace& place,
                           const Extents& extents, at::Device device)
    : sets_(sets),
      group_(group),
      place_(place),
      fields_(declare_value_updates(), extents, device) {}

at::Tensor ValueUpdates::place_of(const char* name, int64_t layer, int64_t set,
                                  int64_t selection) const {
  return fields_.layer(name, layer).select(0, selection).select(0, set);
}

void ValueUpdates::update(const AttentionView& view, const std::vector<GatheredSequence>& sequences,
                          const int64_t* is_event) {
  norms_.clear();
  for (int64_t selection = 0; selection < kSelections; ++selection) {
    for (size_t set = 0; set < sets_.count(); ++set) {
      add_selection(view, sequences, is_event, static_cast<int64_t>(set), selection);
    }
  }
}

/// Adds the heads' sums, then those behind the output projection, over all sequences.
void ValueUpdates::add_selection(const AttentionView& view,
                                 const std::vector<GatheredSequence>& sequences,
                                 const int64_t* is_event, int64_t set, int64_t selection) {
  const auto weight = view.output_weight.to(at::kFloat);  // [C, H D]
  const auto options = weight.options();
  const int64_t positions = view.call.shape.positions;
  const auto rows = static_cast<int64_t>(sequences.size()) * positions;
  auto partial = at::zeros({rows, weight.size(0)}, options);
  for (const auto& sequence : sequences) {
    auto keys = sets_.positions(set, sequence, is_event);
    if (selection == 1) {
      keys = draw_positions(static_cast<uint64_t>(sequence.sequence),
                            static_cast<int64_t>(keys.size()), sequence.length / 2, keys);
    }
    if (keys.empty() || place_.share.query_heads.size() == 0) continue;
    const auto updates = add_sequence(view, sequence, keys, set, selection);  // [n, H D]
    auto target = partial.narrow(0, sequence.first_row, sequence.length);
    at::mm_out(target, updates, weight.t());
  }
  auto sum = at::empty({rows / group_.size(), weight.size(0)}, options);
  group_.reduce_scatter(partial, sum);
  const auto exact = sum.to(at::kDouble);
  const auto square = exact.square().sum(1);
  place_of("sum", view.layer + 1, set, selection).add_(exact.sum(0));
  place_of("square_sum", view.layer + 1, set, selection).add_(square.sum());
  norms_.push_back(square.sqrt());
}

/// One sequence's updates [n, H D], 0 for queries that do not count.
at::Tensor ValueUpdates::add_sequence(const AttentionView& view, const GatheredSequence& sequence,
                                      const std::vector<int64_t>& keys, int64_t set,
                                      int64_t selection) {
  const int64_t layer = view.layer + 1, length = sequence.length;
  const auto positions = at::tensor(keys, at::kLong).to(view.qkv.device());
  const auto heads = sequence_heads(view, sequence.first_row, length);
  auto queries = queries_of(view.call.shape, length, positions);
  queries.narrow(0, 0, length / 2).fill_(false);
  auto probability = scores_on(view, heads, positions).probability;
  probability.masked_fill_(queries.logical_not().view({1, -1, 1}), 0);
  const auto updates = at::bmm(probability, heads.value.index_select(1, positions));  // [H, n, D]
  const auto exact = updates.to(at::kDouble);
  const auto& share = place_.share.query_heads;
  const auto mine = [&](const char* name) {
    return place_of(name, layer, set, selection).narrow(0, share.begin, share.size());
  };
  mine("head_sum").add_(exact.sum(1));
  mine("head_square_sum").add_(exact.square().sum({1, 2}));
  if (place_.is_first) {
    place_of("query_count", layer, set, selection).add_(queries.sum());
  }
  return updates.transpose(0, 1).reshape({length, -1});
}

void ValueUpdates::finish(int64_t layer, const at::Tensor& attention_output) {
  const auto norm = attention_output.to(at::kDouble).norm(2, 1);
  for (size_t i = 0; i < norms_.size(); ++i) {
    const auto sets = static_cast<int64_t>(sets_.count()), at = static_cast<int64_t>(i);
    const auto share = at::where(norms_[i].gt(0), norms_[i] / norm, at::zeros_like(norm));
    place_of("share_sum", layer + 1, at % sets, at / sets).add_(share.sum());
  }
  norms_.clear();
}

}  // namespace actsweep
