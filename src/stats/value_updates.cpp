#include "stats/value_updates.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/splitmix.h"
#include "schema/declare_statistics.h"
#include "stats/attention_scores.h"

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

ValueUpdates::ValueUpdates(const KeySets& sets, const Group& group, const ModelShare& share,
                           const Extents& extents, at::Device device)
    : sets_(sets),
      group_(group),
      share_(share),
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
  const auto rows = static_cast<int64_t>(sequences.size()) * view.call.shape.positions;
  const auto& share = share_.query_heads;
  auto partial = at::zeros({rows, weight.size(0)}, options);
  Sums sums = {at::zeros({share.size(), view.call.shape.width}, options.dtype(at::kDouble)),
               at::zeros({share.size()}, options.dtype(at::kDouble)),
               at::zeros({}, options.dtype(at::kLong))};
  for (const auto& sequence : sequences) {
    auto keys = sets_.positions(set, sequence, is_event);
    if (selection == 1) {
      keys = draw_positions(static_cast<uint64_t>(sequence.sequence),
                            static_cast<int64_t>(keys.size()), sequence.length / 2, keys);
    }
    if (keys.empty() || share.size() == 0) continue;
    const int64_t first = sequence.length / 2, queries = sequence.length - first;
    auto target = partial.narrow(0, sequence.first_row + first, queries);
    add_sequence(view, sequence, keys, weight, target, sums);
  }
  const auto field = [&](const char* name) {
    return place_of(name, view.layer + 1, set, selection);
  };
  if (share.size() > 0) {
    field("head_sum").narrow(0, share.begin, share.size()).add_(sums.update);
    field("head_square_sum").narrow(0, share.begin, share.size()).add_(sums.square);
    field("sum").add_(at::mv(weight, sums.update.to(at::kFloat).view({-1})));
    if (has_first_head(share_)) field("query_count").add_(sums.queries);
  }
  auto sum = at::empty({rows / group_.size(), weight.size(0)}, options);
  group_.reduce_scatter(partial, sum);
  norms_.push_back(at::norm(sum, 2, 1).to(at::kDouble));
  field("square_sum").add_(norms_.back().square().sum());
}

/// One sequence's updates behind the output projection, into `target` [queries of the second half,
/// C]: 0 for those that do not count.
void ValueUpdates::add_sequence(const AttentionView& view, const GatheredSequence& sequence,
                                const std::vector<int64_t>& keys, const at::Tensor& weight,
                                at::Tensor& target, Sums& sums) {
  const int64_t length = sequence.length, first = length / 2;
  const auto positions = at::tensor(keys, at::kLong).to(view.qkv.device());
  const auto heads = sequence_heads(view, sequence.first_row, length);
  const auto queries =
      queries_of(view.call.shape, length, positions).narrow(0, first, length - first);
  auto probability = scores_on(view, heads, positions, first).probability;  // [H, queries, keys]
  probability.masked_fill_(queries.logical_not().view({1, -1, 1}), 0);
  const auto value = heads.values_at(positions);  // [H, keys, D]
  sums.queries.add_(queries.sum());
  if (positions.size(0) > value.size(2)) {
    const auto updates = at::bmm(probability, value);  // [H, queries, D]
    const auto exact = updates.to(at::kDouble);
    sums.update.add_(exact.sum(1));
    sums.square.add_(exact.square().sum({1, 2}));
    at::mm_out(target, updates.transpose(0, 1).reshape({target.size(0), -1}), weight.t());
    return;
  }
  // A few keys are projected before they are weighted, and their products with each other give the
  // updates' norms.
  const auto share = probability.to(at::kDouble), exact = value.to(at::kDouble);
  sums.update.add_(at::bmm(share.sum(1, /*keepdim=*/true), exact).squeeze(1));
  const auto products = at::bmm(exact, exact.transpose(1, 2));  // [H, keys, keys]
  sums.square.add_((at::bmm(share, products) * share).sum({1, 2}));
  const auto of_head = weight.view({weight.size(0), value.size(0), -1}).permute({1, 2, 0});
  const auto projected = at::bmm(value, of_head);  // [H, keys, C]
  at::mm_out(target, probability.transpose(0, 1).reshape({target.size(0), -1}),
             projected.view({-1, weight.size(0)}));
}

void ValueUpdates::finish(int64_t layer, const at::Tensor& attention_output) {
  const auto norm = at::norm(attention_output.to(at::kFloat), 2, 1).to(at::kDouble);
  for (size_t i = 0; i < norms_.size(); ++i) {
    const auto sets = static_cast<int64_t>(sets_.count()), at = static_cast<int64_t>(i);
    const auto share = at::where(norms_[i].gt(0), norms_[i] / norm, at::zeros_like(norm));
    place_of("share_sum", layer + 1, at % sets, at / sets).add_(share.sum());
  }
  norms_.clear();
}

}  // namespace actsweep
