#include "stats/value_updates.h"

#include <ATen/ATen.h>

#include "schema/declare_statistics.h"
#include "stats/sequence_products.h"

namespace actsweep {
namespace {

constexpr int64_t kSelections = 2;  // the set itself, a random set

/// What the queries of a group's second halves take from its keys.
struct Updates {
  at::Tensor sum;     // [S', H, D] float64: over the queries
  at::Tensor square;  // [S', H] float64: sum of squared norms
  at::Tensor left;    // [S', q, width] float32: times
  at::Tensor right;   // [S', width, C], or [width, C] for all: behind the output projection
};

/// Rows of all heads next to each other: [S', H, q, width] -> [S', q, H * width].
at::Tensor side_by_side(const at::Tensor& of_heads) {
  return of_heads.transpose(1, 2).reshape({of_heads.size(0), of_heads.size(2), -1});
}

/// The values of each key behind the output projection: value [S', H, k, D] -> [S', H * k, C].
at::Tensor projected_values(const at::Tensor& value, const at::Tensor& weight) {
  const int64_t heads = value.size(1), channels = weight.size(0);
  const auto of_head = weight.view({channels, heads, -1}).permute({1, 2, 0});  // [H, D, C]
  if (value.is_cpu()) {
    return products_of(value, of_head.unsqueeze(0).expand({value.size(0), -1, -1, -1}))
        .view({value.size(0), -1, channels});
  }
  const auto by_head = value.transpose(0, 1).reshape({heads, -1, value.size(3)});
  return at::bmm(by_head, of_head)
      .view({heads, value.size(0), -1, channels})
      .transpose(0, 1)
      .reshape({value.size(0), -1, channels});
}

/// Many keys are weighted before they are projected, and keys whose sum meets a gate [S', H, q, D].
Updates updates_of_many(const at::Tensor& probability, const at::Tensor& value,
                        const at::Tensor& gate, const at::Tensor& weight) {
  const auto sums = products_of(probability, value);  // [S', H, q, D]
  const auto updates = gate.defined() ? sums * gate : sums;
  const auto exact = updates.to(at::kDouble);
  return {exact.sum(2), exact.square().sum({2, 3}), side_by_side(updates), weight.t()};
}

/// A few keys are projected before they are weighted, and their products with each other give the
/// updates' norms.
Updates updates_of_few(const at::Tensor& probability, const at::Tensor& value,
                       const at::Tensor& weight) {
  const auto share = probability.to(at::kDouble), exact = value.to(at::kDouble);
  const auto products = products_of(exact, exact.transpose(2, 3));  // [S', H, k, k]
  return {products_of(share.sum(2, /*keepdim=*/true), exact).squeeze(2),
          (products_of(share, products) * share).sum({2, 3}), side_by_side(probability),
          projected_values(value, weight)};
}

/// Writes the products of a group's updates to its queries' rows of `partial` [S, T, C].
void project_updates(const Updates& updates, const SequenceGroup& group, const Queries& queries,
                     at::Tensor& partial) {
  if (group.is_padded || !partial.is_cpu()) {
    const auto out = at::matmul(updates.left, updates.right);
    partial.view({-1, partial.size(2)})
        .index_copy_(0, queries.row.view({-1}), out.reshape({-1, partial.size(2)}));
    return;
  }
  for (int64_t i = 0; i < group.count(); ++i) {
    auto out = partial.select(0, group.numbers[i]).narrow(0, queries.first, queries.count);
    const auto& right = updates.right;
    write_product(updates.left.select(0, i), right.dim() == 3 ? right.select(0, i) : right, out);
  }
}

}  // namespace

/// One set, or random keys in its place, in a layer and micro-batch.
struct ValueUpdates::Selection {
  const GatheredHeads& heads;
  const std::vector<SequenceGroup>& groups;
  const at::Tensor& is_finite;
  const at::Tensor& weight;  // [C, H D] float32
  int64_t set;
  int64_t number;
};

ValueUpdates::ValueUpdates(size_t sets, const Group& group, const ModelShare& share,
                           const Extents& extents, at::Device device)
    : sets_(sets),
      group_(group),
      share_(share),
      fields_(declare_value_updates(value_width_of(extents)), extents, device) {}

at::Tensor ValueUpdates::place_of(const char* name, int64_t layer, int64_t set,
                                  int64_t selection) const {
  return fields_.layer(name, layer).select(0, selection).select(0, set);
}

void ValueUpdates::update(const AttentionView& view, const GatheredHeads* heads,
                          const KeyGroups* groups, const at::Tensor& is_finite) {
  norms_.clear();
  const auto weight = view.output_weight.to(at::kFloat);
  const int64_t sequences = is_finite.size(0), positions = view.call.shape.positions;
  for (int64_t number = 0; number < kSelections; ++number) {
    for (size_t set = 0; set < sets_; ++set) {
      auto partial = at::zeros({sequences, positions, weight.size(0)}, weight.options());
      const auto at = static_cast<int64_t>(set);
      if (heads != nullptr) {
        add_selection({*heads, groups->update(number, set), is_finite, weight, at, number},
                      partial);
      }
      add_owned(partial, place_of("square_sum", view.layer + 1, at, number));
    }
  }
}

/// Adds the heads' sums over all sequences; writes their part of the updates behind the output
/// projection, [S, T, C]: 0 for what does not count.
void ValueUpdates::add_selection(const Selection& selection, at::Tensor& partial) const {
  const auto& heads = selection.heads;
  const auto& shape = heads.view().call.shape;
  const auto& is_finite = selection.is_finite;
  const auto options = is_finite.options().dtype(at::kDouble);
  auto sum = at::zeros({is_finite.size(0), heads.count(), heads.value_width()}, options);
  auto square = at::zeros({is_finite.size(0), heads.count()}, options);
  auto count = at::zeros({is_finite.size(0)}, options.dtype(at::kLong));
  for (const auto& group : selection.groups) {
    const auto queries = second_half(shape, group);
    const auto is_counted = counted_queries(shape, group, queries);
    auto probability = scores_on(heads, group, queries).probability;
    probability.masked_fill_(is_counted.logical_not().view({group.count(), 1, -1, 1}), 0);
    const auto value = heads.values_at(group);
    const auto gate = heads.gates_at(group, queries);
    const auto updates = gate.defined() || group.keys() > heads.value_width()
                             ? updates_of_many(probability, value, gate, selection.weight)
                             : updates_of_few(probability, value, selection.weight);
    project_updates(updates, group, queries, partial);
    sum.index_copy_(0, group.sequence, updates.sum);
    square.index_copy_(0, group.sequence, updates.square);
    count.index_copy_(0, group.sequence, is_counted.sum(1));
  }
  partial.masked_fill_(is_finite.logical_not().view({-1, 1, 1}), 0);
  const auto total = at::zeros({heads.count(), heads.value_width()}, options);
  const auto total_square = at::zeros({heads.count()}, options);
  add_sequences(total, sum, is_finite);
  add_sequences(total_square, square, is_finite);
  const auto field = [&](const char* name) {
    return place_of(name, heads.view().layer + 1, selection.set, selection.number);
  };
  const auto& mine = share_.query_heads;
  field("head_sum").narrow(0, mine.begin, mine.size()).add_(total);
  field("head_square_sum").narrow(0, mine.begin, mine.size()).add_(total_square);
  field("sum").add_(at::mv(selection.weight, total.to(at::kFloat).view({-1})));
  if (has_first_head(share_)) count_sequences(field("query_count"), count, is_finite);
}

/// Adds the squared norms of this rank's rows, over all heads, and keeps their norms.
void ValueUpdates::add_owned(const at::Tensor& partial, at::Tensor square_sum) {
  const int64_t channels = partial.size(2);
  const auto rows = partial.view({-1, channels});
  auto sum = at::empty({rows.size(0) / group_.size(), channels}, rows.options());
  group_.reduce_scatter(rows, sum);
  norms_.push_back(at::norm(sum, 2, 1).to(at::kDouble));
  square_sum.add_(norms_.back().square().sum());
}

void ValueUpdates::finish(int64_t layer, const at::Tensor& attention_output) {
  const auto norm = at::norm(attention_output.to(at::kFloat), 2, 1).to(at::kDouble);
  for (size_t i = 0; i < norms_.size(); ++i) {
    const auto sets = static_cast<int64_t>(sets_), at = static_cast<int64_t>(i);
    const auto share = at::where(norms_[i].gt(0), norms_[i] / norm, at::zeros_like(norm));
    place_of("share_sum", layer + 1, at % sets, at / sets).add_(share.sum());
  }
  norms_.clear();
}

}  // namespace actsweep
