#include "stats/attention_scores.h"

#include <ATen/ATen.h>

#include <vector>

#include "stats/sequence_products.h"

namespace actsweep {
namespace {

constexpr int64_t kLineFloats = 16;  // float32 of a cache line

/// The rank's key/value head that each of its query heads reads.
at::Tensor key_of_head(const AttentionCall& call, at::Device device) {
  std::vector<int64_t> key(call.shape.query_heads);
  for (const auto& run : call.runs) {
    const int64_t group = run.queries / run.keys;
    for (int64_t i = 0; i < run.queries; ++i) key[run.query_begin + i] = run.key_begin + i / group;
  }
  return at::tensor(key, at::kLong).to(device);
}

/// queries [S', q] of a group times its keys [S', H, k, D] -> [S', H, q, k].
at::Tensor query_key_products(const GatheredHeads& heads, const SequenceGroup& group,
                              const Queries& queries, const at::Tensor& keys) {
  const auto& all = heads.queries();
  if (group.is_padded || !all.is_cpu()) {
    const auto chosen = all.reshape({-1, heads.count(), heads.width()})
                            .index_select(0, queries.row.view({-1}))
                            .view({group.count(), queries.count, heads.count(), heads.width()});
    return products_of(chosen.transpose(1, 2), keys.transpose(2, 3));
  }
  std::vector<at::Tensor> products;
  for (int64_t i = 0; i < group.count(); ++i) {
    const auto query =
        all.select(0, group.numbers[i]).narrow(0, queries.first, queries.count).transpose(0, 1);
    products.push_back(at::bmm(query, aligned(keys.select(0, i)).transpose(1, 2)));
  }
  return stacked(products);
}

Queries queries_from(const AttentionShape& shape, const SequenceGroup& group, int64_t first,
                     const at::Tensor& begin) {
  Queries queries{first, group.length - first, {}, {}};
  const auto from = at::arange(queries.count, begin.options()).unsqueeze(0);
  queries.position = begin.unsqueeze(1) + from;
  queries.row = (group.sequence * shape.positions).unsqueeze(1) + queries.position;
  return queries;
}

}  // namespace

GatheredHeads::GatheredHeads(const AttentionView& view)
    : view_(view), key_of_(key_of_head(view.call, view.qkv.device())) {
  const auto& shape = view.call.shape;
  const int64_t query_width = shape.query_heads * shape.width;
  const auto rows = view.qkv.narrow(1, 0, query_width)
                        .view({-1, shape.positions, shape.query_heads, shape.width});
  queries_ = rows;
  if (rows.scalar_type() == at::kFloat) return;
  const int64_t sequence = shape.positions * query_width;
  const int64_t stride = (sequence + kLineFloats - 1) / kLineFloats * kLineFloats;
  const auto room = at::empty({rows.size(0) * stride}, rows.options().dtype(at::kFloat));
  queries_ = room.as_strided(rows.sizes(), {stride, query_width, shape.width, 1});
  queries_.copy_(rows);
}

/// The first `width` channels of heads from `first_head` on of the rows, those that the query heads
/// read.
at::Tensor GatheredHeads::at_positions(const SequenceGroup& group, int64_t first_head,
                                       int64_t width) const {
  const auto& shape = view_.call.shape;
  const auto row = (group.sequence * shape.positions).unsqueeze(1) + group.positions;
  return view_.qkv.view({view_.qkv.size(0), -1, shape.width})
      .narrow(1, first_head, shape.key_heads)
      .narrow(2, 0, width)
      .index_select(0, row.view({-1}))
      .index_select(1, key_of_)
      .view({group.count(), group.keys(), count(), width})
      .transpose(1, 2)
      .contiguous()
      .to(at::kFloat);
}

at::Tensor GatheredHeads::keys_at(const SequenceGroup& group) const {
  return at_positions(group, view_.call.shape.query_heads, width());
}

at::Tensor GatheredHeads::values_at(const SequenceGroup& group) const {
  const auto& shape = view_.call.shape;
  return at_positions(group, shape.query_heads + shape.key_heads, value_width());
}

at::Tensor GatheredHeads::values_of(const SequenceGroup& group) const {
  const auto& shape = view_.call.shape;
  const int64_t first = (shape.query_heads + shape.key_heads) * shape.width;
  return view_.qkv.view({-1, shape.positions, view_.qkv.size(1)})
      .narrow(1, 0, group.length)
      .narrow(2, first, shape.key_heads * shape.width)
      .index_select(0, group.sequence)
      .view({group.count(), group.length, shape.key_heads, shape.width})
      .narrow(3, 0, value_width())
      .transpose(1, 2)
      .to(at::kFloat);
}

at::Tensor GatheredHeads::gates_at(const SequenceGroup& group, const Queries& queries) const {
  if (!view_.gate.defined()) return {};
  return view_.gate.index_select(0, queries.row.view({-1}))
      .view({group.count(), queries.count, count(), value_width()})
      .transpose(1, 2)
      .to(at::kFloat);
}

Queries all_queries(const AttentionShape& shape, const SequenceGroup& group) {
  return queries_from(shape, group, 0, at::zeros_like(group.lengths));
}

Queries second_half(const AttentionShape& shape, const SequenceGroup& group) {
  return queries_from(shape, group, group.length / 2,
                      at::div(group.lengths, 2, /*rounding_mode=*/"floor"));
}

at::Tensor first_seen(const AttentionShape& shape, const at::Tensor& query) {
  if (shape.window > 0) return (query - (shape.window - 1)).clamp_min(0);
  return at::div(query, shape.chunk, "floor") * shape.chunk;
}

at::Tensor hidden_keys(const AttentionShape& shape, const SequenceGroup& group,
                       const Queries& queries) {
  auto hidden = group.is_key.logical_not().unsqueeze(1).expand({-1, queries.count, -1});
  const auto query = queries.position.unsqueeze(2), key = group.positions.unsqueeze(1);
  if (shape.is_causal) {
    hidden = hidden.logical_or(key.gt(query));
  } else if (shape.window > 0) {
    hidden = hidden.logical_or(key.ge(query + shape.window));
  }
  return shape.sees_all_before() ? hidden : hidden.logical_or(key.lt(first_seen(shape, query)));
}

KeyScores scores_on(const GatheredHeads& heads, const SequenceGroup& group,
                    const Queries& queries) {
  const auto& view = heads.view();
  const auto& facts = view.call.scores;
  auto score = query_key_products(heads, group, queries, heads.keys_at(group)).mul_(facts.scale);
  if (facts.cap > 0) score = at::tanh(score / facts.cap).mul_(facts.cap);
  if (facts.key_bias.defined()) {
    score += facts.key_bias.index_select(1, group.positions.view({-1}))
                 .view({heads.count(), group.count(), 1, group.keys()})
                 .transpose(0, 1);
  }
  const auto log_sum_exp = view.summary.log_sum_exp.index_select(0, queries.row.view({-1}))
                               .view({group.count(), queries.count, heads.count(), 1})
                               .transpose(1, 2);
  auto probability = (score - log_sum_exp).exp_();
  probability.masked_fill_(hidden_keys(view.call.shape, group, queries).unsqueeze(1), 0);
  if (group.is_padded) {
    score.masked_fill_(group.is_key.logical_not().view({group.count(), 1, 1, -1}), 0);
  }
  return {score, probability};
}

at::Tensor counted_queries(const AttentionShape& shape, const SequenceGroup& group,
                           const Queries& queries) {
  auto counted = group.is_outside.gather(1, queries.position);
  const auto last = group.positions.narrow(1, group.keys() - 1, 1);
  if (shape.is_causal) {
    counted.logical_and_(last.le(queries.position));
  } else if (shape.window > 0) {
    counted.logical_and_(last.lt(queries.position + shape.window));
  }
  if (!shape.sees_all_before()) {
    counted.logical_and_(group.positions.narrow(1, 0, 1).ge(first_seen(shape, queries.position)));
  }
  return counted;
}

}  // namespace actsweep
