#include "stats/attention_statistics.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "schema/declare_statistics.h"

namespace actsweep {
namespace {

constexpr int64_t kShortSequence = 64;  // tokens of the sink metric's short form

/// values [S', H, q] float32 summed over the queries that count: [S', H] float64.
at::Tensor kept_sum(const at::Tensor& values, const at::Tensor& is_counted) {
  return values.to(at::kDouble).masked_fill(is_counted.logical_not().unsqueeze(1), 0).sum(2);
}

/// How many keys the query at each row (from 1) sees in sequences of `lengths` [S', 1]: [S', n].
at::Tensor keys_seen(const AttentionShape& shape, const at::Tensor& row,
                     const at::Tensor& lengths) {
  const auto last = shape.is_causal     ? row.expand({lengths.size(0), -1})
                    : shape.window == 0 ? lengths.expand({-1, row.size(1)})
                                        : at::minimum(lengths, row + (shape.window - 1));
  return shape.sees_all_before() ? last : last - first_seen(shape, row - 1);
}

}  // namespace

/// A layer and micro-batch: what a sequence gives stands in its row of tensors over all of them.
struct AttentionStatistics::Layer {
  const GatheredHeads& heads;
  const KeyGroups& groups;
  const at::Tensor& is_finite;
  int64_t number;  // of the file

  const AttentionShape& shape() const { return heads.view().call.shape; }
  int64_t sequences() const { return is_finite.size(0); }
  at::Tensor sums(int64_t columns) const {
    return at::zeros({sequences(), columns}, is_finite.options().dtype(at::kDouble));
  }
  at::Tensor counts() const {
    return at::zeros({sequences()}, is_finite.options().dtype(at::kLong));
  }
};

AttentionStatistics::AttentionStatistics(const KeySets& sets, const ModelShare& share,
                                         const Extents& extents, at::Device device)
    : sets_(sets.count()),
      learned_slot_(sets.learned_slot()),
      share_(share),
      fields_(declare_attention(), extents, device) {}

/// This rank's query heads of a field of one layer.
at::Tensor AttentionStatistics::mine(const char* name, const Layer& layer) const {
  const auto& heads = share_.query_heads;
  return fields_.layer(name, layer.number).narrow(0, heads.begin, heads.size());
}

/// Its key/value heads, without one that the rank before holds as well.
at::Tensor AttentionStatistics::mine_of_keys(const char* name, const Layer& layer) const {
  const auto& heads = share_.key_heads;
  const int64_t repeated = share_.repeats_first_key ? 1 : 0;
  return fields_.layer(name, layer.number)
      .narrow(0, heads.begin + repeated, heads.size() - repeated);
}

/// Adds to what all heads have in common, at one place of the axis behind the layer's or to its
/// only value.
void AttentionStatistics::count(const char* name, const Layer& layer, const at::Tensor& counts,
                                int64_t at) const {
  if (!has_first_head(share_)) return;
  auto field = fields_.layer(name, layer.number);
  count_sequences(at < 0 ? field : field.select(0, at), counts, layer.is_finite);
}

void AttentionStatistics::update(const GatheredHeads& heads, const KeyGroups& groups,
                                 const at::Tensor& is_finite) {
  const Layer layer{heads, groups, is_finite, heads.view().layer + 1};
  const auto value_norms = add_values(layer);
  for (size_t set = 0; set < sets_; ++set) {
    if (set != learned_slot_) add_set(layer, set, value_norms);
  }
  if (learned_slot_) add_learned(layer, static_cast<int64_t>(*learned_slot_));
  add_sink(layer);
  add_entropy(layer);
}

void AttentionStatistics::add_set(const Layer& layer, size_t set,
                                  const at::Tensor& value_norms) const {
  auto mass = layer.sums(layer.heads.count()), logit = layer.sums(layer.heads.count());
  auto norms = layer.sums(value_norms.size(2));
  auto queries = layer.counts(), keys = layer.counts(), sequences = layer.counts();
  for (const auto& group : layer.groups.set(set)) {
    const auto all = all_queries(layer.shape(), group);
    const auto is_counted = counted_queries(layer.shape(), group, all);
    const auto scores = scores_on(layer.heads, group, all);
    const auto key_count = group.is_key.sum(1);
    const auto mean = scores.score.sum(3) / key_count.to(at::kFloat).view({-1, 1, 1});
    mass.index_copy_(0, group.sequence, kept_sum(scores.probability.sum(3), is_counted));
    logit.index_copy_(0, group.sequence, kept_sum(mean, is_counted));
    auto of_keys = value_norms.index_select(0, group.sequence)
                       .gather(1, group.positions.unsqueeze(2).expand({-1, -1, norms.size(1)}));
    if (group.is_padded) of_keys.masked_fill_(group.is_key.logical_not().unsqueeze(2), 0);
    norms.index_copy_(0, group.sequence, of_keys.sum(1));
    queries.index_copy_(0, group.sequence, is_counted.sum(1));
    keys.index_copy_(0, group.sequence, key_count);
    sequences.index_fill_(0, group.sequence, 1);
  }
  const auto at = static_cast<int64_t>(set);
  add_sequences(mine("mass_sum", layer).select(1, at), mass, layer.is_finite);
  add_sequences(mine("logit_sum", layer).select(1, at), logit, layer.is_finite);
  add_sequences(mine_of_keys("set_value_norm_sum", layer).select(1, at), norms, layer.is_finite);
  count("query_count", layer, queries, at);
  count("key_count", layer, keys, at);
  count("sequence_count", layer, sequences, at);
}

/// A sink or an extra key, which every query sees and no position has: one key of each sequence. A
/// sink has no value.
void AttentionStatistics::add_learned(const Layer& layer, int64_t set) const {
  const auto& view = layer.heads.view();
  const auto& facts = view.call.scores;
  const std::vector<int64_t> sizes = {layer.sequences(), layer.shape().positions,
                                      layer.heads.count()};
  const auto score = facts.sinks.defined()
                         ? facts.sinks.expand(sizes)
                         : (layer.heads.queries() * facts.extra_key).sum(3) * facts.scale;
  const auto probability = (score - view.summary.log_sum_exp.view(sizes)).exp();  // [S, T, H]
  const auto is_absent = layer.groups.padding().unsqueeze(2);
  const auto summed = [&](const at::Tensor& values) {
    return values.to(at::kDouble).masked_fill(is_absent, 0).sum(1);
  };
  add_sequences(mine("mass_sum", layer).select(1, set), summed(probability), layer.is_finite);
  add_sequences(mine("logit_sum", layer).select(1, set), summed(score), layer.is_finite);
  const auto tokens = is_absent.logical_not().sum({1, 2});
  const auto sequences = tokens.gt(0).to(at::kLong);
  if (facts.extra_value.defined()) {  // of models with as many key/value heads as query heads
    const auto norm = at::norm(facts.extra_value, 2, 1).to(at::kDouble);  // [H]
    add_sequences(mine_of_keys("set_value_norm_sum", layer).select(1, set),
                  sequences.to(at::kDouble).unsqueeze(1) * norm, layer.is_finite);
  }
  count("query_count", layer, tokens, set);
  count("key_count", layer, sequences, set);
  count("sequence_count", layer, sequences, set);
}

/// alpha_0 = sum over i of A[i, 0] / T (arXiv 2410.10781).
void AttentionStatistics::add_sink(const Layer& layer) const {
  auto mass = layer.sums(layer.heads.count()), short_mass = layer.sums(layer.heads.count());
  auto sequences = layer.counts(), short_sequences = layer.counts();
  for (const auto& group : layer.groups.first()) {
    const auto probability =
        scores_on(layer.heads, group, all_queries(layer.shape(), group)).probability.squeeze(3);
    const auto sum = kept_sum(probability, group.is_padding().logical_not());
    mass.index_copy_(0, group.sequence, sum / group.lengths.unsqueeze(1));
    sequences.index_fill_(0, group.sequence, 1);
    if (group.length < kShortSequence) continue;
    const auto is_long = group.lengths.ge(kShortSequence);
    const auto mean = probability.narrow(2, 0, kShortSequence).to(at::kDouble).mean(2);
    short_mass.index_copy_(0, group.sequence,
                           mean.masked_fill(is_long.logical_not().unsqueeze(1), 0));
    short_sequences.index_copy_(0, group.sequence, is_long.to(at::kLong));
  }
  const auto thresholds =
      at::tensor(std::vector<double>(kSinkThresholds.begin(), kSinkThresholds.end()), at::kDouble)
          .to(mass.device());
  const auto count_above = [&](const at::Tensor& masses, const char* name) {
    const auto is_above =
        masses.unsqueeze(2).gt(thresholds).logical_and(layer.is_finite.view({-1, 1, 1}));
    mine(name, layer).add_(is_above.sum(0));
  };
  add_sequences(mine("sink_sum", layer), mass, layer.is_finite);
  count_above(mass, "sink_count");
  count_above(short_mass, "sink_count_64");
  count("sink_sequences", layer, sequences);
  count("sink_sequences_64", layer, short_sequences);
}

void AttentionStatistics::add_entropy(const Layer& layer) const {
  const auto& call = layer.heads.view().call;
  const bool has_slot = call.scores.sinks.defined() || call.scores.extra_key.defined();
  const auto all = layer.heads.view().summary.entropy.view(
      {layer.sequences(), call.shape.positions, layer.heads.count()});
  auto sums = layer.sums(layer.heads.count());
  auto rows = layer.counts();
  for (const auto& group : layer.groups.first()) {
    const auto row = at::arange(1, group.length + 1, group.lengths.options()).unsqueeze(0);
    const auto lengths = group.lengths.unsqueeze(1);
    const auto slots = keys_seen(call.shape, row, lengths) + (has_slot ? 1 : 0);
    const auto is_counted = slots.gt(1).logical_and(row.le(lengths));  // [S', n]
    const auto entropy = all.narrow(1, 0, group.length).index_select(0, group.sequence);
    const auto share = entropy.to(at::kDouble) / slots.to(at::kDouble).log().unsqueeze(2);
    sums.index_copy_(0, group.sequence,
                     share.masked_fill(is_counted.logical_not().unsqueeze(2), 0).sum(1));
    rows.index_copy_(0, group.sequence, is_counted.sum(1));
  }
  add_sequences(mine("entropy_sum", layer), sums, layer.is_finite);
  count("entropy_rows", layer, rows);
}

/// The norms of all values: [S, T, key/value heads that this rank counts] float64.
at::Tensor AttentionStatistics::add_values(const Layer& layer) const {
  const int64_t repeated = share_.repeats_first_key ? 1 : 0;
  const int64_t heads = share_.key_heads.size() - repeated;
  auto norms = at::zeros({layer.sequences(), layer.shape().positions, heads},
                         layer.is_finite.options().dtype(at::kDouble));
  auto sums = layer.sums(heads);
  auto tokens = layer.counts();
  for (const auto& group : layer.groups.first()) {
    const auto values = layer.heads.values_of(group).narrow(1, repeated, heads);
    auto norm = at::norm(values, 2, 3).to(at::kDouble);  // [S', heads, n]
    if (group.is_padded) norm.masked_fill_(group.is_padding().unsqueeze(1), 0);
    sums.index_copy_(0, group.sequence, norm.sum(2));
    norms.narrow(1, 0, group.length).index_copy_(0, group.sequence, norm.transpose(1, 2));
    tokens.index_copy_(0, group.sequence, group.lengths);
  }
  add_sequences(mine_of_keys("value_norm_sum", layer), sums, layer.is_finite);
  count("token_count", layer, tokens);
  return norms;
}

}  // namespace actsweep
