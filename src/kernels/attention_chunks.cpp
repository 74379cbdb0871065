#include "kernels/attention_chunks.h"

#include <ATen/ATen.h>

#include <limits>

namespace actsweep::aten {

at::Tensor heads_in(const at::Tensor& rows, const AttentionShape& shape, int64_t first,
                    int64_t heads) {
  return rows.view({-1, shape.positions, rows.size(1) / shape.width, shape.width})
      .narrow(2, first, heads)
      .transpose(1, 2);
}

QueryKeyHeads query_key_heads(const at::Tensor& qkv, const AttentionShape& shape,
                              const HeadRun& run) {
  return {heads_in(qkv, shape, run.query_begin, run.queries),
          heads_in(qkv, shape, shape.query_heads + run.key_begin, run.keys)};
}

at::Tensor of_query_heads(const at::Tensor& heads, const Chunk& chunk, const HeadRun& run) {
  return heads.narrow(2, chunk.first_key, chunk.keys())
      .to(at::kFloat)
      .repeat_interleave(run.queries / run.keys, 1);
}

at::Tensor hidden_keys(const Chunk& chunk, const AttentionCall& call, at::Device device) {
  const auto& shape = call.shape;
  const auto options = at::TensorOptions().dtype(at::kLong).device(device);
  const auto queries = at::arange(chunk.begin, chunk.end, options).unsqueeze(1);
  const auto keys = at::arange(chunk.first_key, chunk.end_key, options).unsqueeze(0);
  auto hidden = shape.is_causal ? keys.gt(queries) : keys.lt(0).expand({queries.size(0), -1});
  if (!call.key_ends.empty()) {
    const auto ends = at::tensor(call.key_ends, at::kLong).to(device).view({-1, shape.positions});
    hidden = keys.ge(ends.slice(1, chunk.begin, chunk.end).unsqueeze(2)).unsqueeze(1);
  }
  if (shape.window > 0) {
    hidden = hidden.logical_or(keys.le(queries - shape.window));
    if (!shape.is_causal) hidden = hidden.logical_or(keys.ge(queries + shape.window));
  }
  if (call.lengths.empty()) return hidden;
  const auto length = at::tensor(call.lengths, at::kLong).to(device).view({-1, 1, 1, 1});
  return hidden.logical_or(keys.ge(length));
}

at::Tensor chunk_scores(const QueryKeyHeads& heads, const Chunk& chunk, const AttentionCall& call,
                        const HeadRun& run) {
  const auto& facts = call.scores;
  const auto query = heads.query.narrow(2, chunk.begin, chunk.queries()).to(at::kFloat);
  auto scores =
      at::matmul(query, of_query_heads(heads.key, chunk, run).transpose(2, 3)) * facts.scale;
  if (facts.cap > 0) scores = at::tanh(scores / facts.cap) * facts.cap;
  if (facts.key_bias.defined()) {
    scores += facts.key_bias.narrow(0, run.query_begin, run.queries)
                  .narrow(1, chunk.first_key, chunk.keys())
                  .unsqueeze(1);
  }
  return scores.masked_fill_(hidden_keys(chunk, call, scores.device()),
                             -std::numeric_limits<float>::infinity());
}

}  // namespace actsweep::aten
