#include "stats/attention_scores.h"

#include <ATen/ATen.h>

#include <vector>

namespace actsweep {
namespace {

/// The rank's key/value head that each of its query heads reads.
at::Tensor key_of_head(const AttentionCall& call, at::Device device) {
  std::vector<int64_t> key(call.shape.query_heads);
  for (const auto& run : call.runs) {
    const int64_t group = run.queries / run.keys;
    for (int64_t i = 0; i < run.queries; ++i) key[run.query_begin + i] = run.key_begin + i / group;
  }
  return at::tensor(key, at::kLong).to(device);
}

}  // namespace

SequenceHeads sequence_heads(const AttentionView& view, int64_t first_row, int64_t length) {
  const auto& shape = view.call.shape;
  const auto rows = view.qkv.narrow(0, first_row, length).view({length, -1, shape.width});
  const auto part = [&](int64_t first, int64_t heads) {
    return rows.narrow(1, first, heads).transpose(0, 1);
  };
  const int64_t queries = shape.query_heads, keys = shape.key_heads;
  return {part(0, queries).to(at::kFloat), part(queries, keys), part(queries + keys, keys),
          key_of_head(view.call, view.qkv.device()),
          view.summary.log_sum_exp.narrow(0, first_row, length).t()};
}

at::Tensor SequenceHeads::keys_at(const at::Tensor& positions) const {
  return key.index_select(1, positions).index_select(0, key_of).to(at::kFloat);
}

at::Tensor SequenceHeads::values_at(const at::Tensor& positions) const {
  return value.index_select(1, positions).index_select(0, key_of).to(at::kFloat);
}

at::Tensor visible_keys(const AttentionShape& shape, int64_t length, const at::Tensor& positions) {
  const auto query = at::arange(length, positions.options()).unsqueeze(1);
  const auto key = positions.unsqueeze(0);
  if (!shape.is_causal) return key.ge(0).expand({length, -1});
  const auto seen = key.le(query);
  return shape.window > 0 ? seen.logical_and(key.gt(query - shape.window)) : seen;
}

at::Tensor queries_of(const AttentionShape& shape, int64_t length, const at::Tensor& positions) {
  auto chosen = visible_keys(shape, length, positions).all(1);
  chosen.index_fill_(0, positions, false);
  return chosen;
}

KeyScores scores_on(const AttentionView& view, const SequenceHeads& heads,
                    const at::Tensor& positions, int64_t first) {
  const auto& facts = view.call.scores;
  const int64_t length = heads.query.size(1), queries = length - first;
  const auto key = heads.keys_at(positions);
  auto score = at::bmm(heads.query.narrow(1, first, queries), key.transpose(1, 2)) * facts.scale;
  if (facts.cap > 0) score = at::tanh(score / facts.cap) * facts.cap;
  if (facts.key_bias.defined()) score += facts.key_bias.index_select(1, positions).unsqueeze(1);
  auto probability = (score - heads.log_sum_exp.narrow(1, first, queries).unsqueeze(2)).exp();
  const auto visible = visible_keys(view.call.shape, length, positions).narrow(0, first, queries);
  probability.masked_fill_(visible.logical_not().unsqueeze(0), 0);
  return {score, probability};
}

}  // namespace actsweep
