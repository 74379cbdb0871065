#include "stats/attention_statistics.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "schema/declare_statistics.h"

namespace actsweep {
namespace {

constexpr int64_t kShortSequence = 64;  // tokens of the sink metric's short form

}  // namespace

struct AttentionStatistics::Sequence {
  const AttentionView& view;
  const GatheredSequence& labels;
  int64_t layer;  // of the file
  SequenceHeads heads;
  at::Tensor value_norms;  // [n, key/value heads that this rank counts] float64

  int64_t length() const { return labels.length; }
  at::Device device() const { return view.qkv.device(); }
  at::Tensor positions(const std::vector<int64_t>& values) const {
    return at::tensor(values, at::kLong).to(device());
  }
};

AttentionStatistics::AttentionStatistics(const KeySets& sets, const ModelShare& share,
                                         const Extents& extents, at::Device device)
    : sets_(sets), share_(share), fields_(declare_attention(), extents, device) {}

/// This rank's query heads of a field of one layer.
at::Tensor AttentionStatistics::mine(const char* name, int64_t layer) const {
  const auto& heads = share_.query_heads;
  return fields_.layer(name, layer).narrow(0, heads.begin, heads.size());
}

/// Its key/value heads, without one that the rank before holds as well.
at::Tensor AttentionStatistics::mine_of_keys(const char* name, int64_t layer) const {
  const auto& heads = share_.key_heads;
  const int64_t repeated = share_.repeats_first_key ? 1 : 0;
  return fields_.layer(name, layer).narrow(0, heads.begin + repeated, heads.size() - repeated);
}

/// Adds to what all heads have in common, at one place of the axis behind the layer's or to its
/// only value.
void AttentionStatistics::count(const char* name, int64_t layer, int64_t value, int64_t at) const {
  if (!has_first_head(share_)) return;
  auto field = fields_.layer(name, layer);
  (at < 0 ? field : field.select(0, at)).add_(value);
}

void AttentionStatistics::update(const AttentionView& view,
                                 const std::vector<GatheredSequence>& sequences,
                                 const int64_t* is_event) {
  if (share_.query_heads.size() == 0) return;
  for (const auto& labels : sequences) {
    if (labels.length == 0) continue;
    const auto heads = sequence_heads(view, labels.first_row, labels.length);
    const Sequence sequence{view, labels, view.layer + 1, heads, value_norms(heads)};
    add_sets(sequence, is_event);
    add_sink(sequence);
    add_entropy(sequence);
    add_values(sequence);
  }
}

void AttentionStatistics::add_sets(const Sequence& sequence, const int64_t* is_event) const {
  for (size_t set = 0; set < sets_.count(); ++set) {
    const auto positions = sets_.positions(set, sequence.labels, is_event);
    if (positions.empty()) continue;
    add_set(sequence, static_cast<int64_t>(set), sequence.positions(positions));
  }
}

void AttentionStatistics::add_set(const Sequence& sequence, int64_t set,
                                  const at::Tensor& positions) const {
  const int64_t layer = sequence.layer;
  const auto queries = queries_of(sequence.view.call.shape, sequence.length(), positions);
  const auto scores = scores_on(sequence.view, sequence.heads, positions);
  const auto add = [&](const char* name, const at::Tensor& of_queries) {  // [H, n]
    mine(name, layer)
        .select(1, set)
        .add_(of_queries.to(at::kDouble).masked_fill(queries.logical_not(), 0).sum(1));
  };
  add("mass_sum", scores.probability.sum(2));
  add("logit_sum", scores.score.mean(2));
  count("query_count", layer, queries.sum().item<int64_t>(), set);
  count("key_count", layer, positions.size(0), set);
  count("sequence_count", layer, 1, set);
  mine_of_keys("set_value_norm_sum", layer)
      .select(1, set)
      .add_(sequence.value_norms.index_select(0, positions).sum(0));
}

/// alpha_0 = sum over i of A[i, 0] / T (arXiv 2410.10781).
void AttentionStatistics::add_sink(const Sequence& sequence) const {
  const int64_t layer = sequence.layer;
  const auto probability =
      scores_on(sequence.view, sequence.heads, sequence.positions({0})).probability.squeeze(2);
  const auto count_above = [&](const at::Tensor& mass, const char* name) {
    auto counts = mine(name, layer);
    for (size_t i = 0; i < kSinkThresholds.size(); ++i) {
      counts.select(1, static_cast<int64_t>(i)).add_(mass.gt(kSinkThresholds[i]));
    }
  };
  const auto mass = probability.to(at::kDouble).mean(1);
  mine("sink_sum", layer).add_(mass);
  count_above(mass, "sink_count");
  count("sink_sequences", layer, 1);
  if (sequence.length() < kShortSequence) return;
  count_above(probability.narrow(1, 0, kShortSequence).to(at::kDouble).mean(1), "sink_count_64");
  count("sink_sequences_64", layer, 1);
}

void AttentionStatistics::add_entropy(const Sequence& sequence) const {
  const auto& call = sequence.view.call;
  const int64_t length = sequence.length();
  const bool has_slot = call.scores.sinks.defined() || call.scores.extra_key.defined();
  const auto row = at::arange(1, length + 1, at::TensorOptions(sequence.device()).dtype(at::kLong));
  auto slots = call.shape.is_causal ? row : at::full_like(row, length);
  if (call.shape.window > 0) slots = slots.clamp_max(call.shape.window);
  slots = slots + (has_slot ? 1 : 0);
  const auto is_counted = slots.gt(1);
  const auto entropy = sequence.view.summary.entropy.narrow(0, sequence.labels.first_row, length);
  const auto share = entropy.to(at::kDouble) / slots.to(at::kDouble).log().unsqueeze(1);
  mine("entropy_sum", sequence.layer)
      .add_(share.masked_fill(is_counted.logical_not().unsqueeze(1), 0).sum(0));
  count("entropy_rows", sequence.layer, is_counted.sum().item<int64_t>());
}

at::Tensor AttentionStatistics::value_norms(const SequenceHeads& heads) const {
  const int64_t repeated = share_.repeats_first_key ? 1 : 0;
  const auto values = heads.value.narrow(0, repeated, heads.value.size(0) - repeated);
  return at::norm(values.to(at::kFloat), 2, 2).t().to(at::kDouble);
}

void AttentionStatistics::add_values(const Sequence& sequence) const {
  mine_of_keys("value_norm_sum", sequence.layer).add_(sequence.value_norms.sum(0));
  count("token_count", sequence.layer, sequence.length());
}

}  // namespace actsweep
