#include "model/attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

namespace actsweep {

void attend(const at::Tensor& qkv, const AttentionCall& call, at::Tensor& out) {
  if (!qkv.is_cpu()) return aten::attend(qkv, call, out);
  cpu::attend(qkv, call, *cpu::attention_kernels().front(), out);
}

namespace aten {
namespace {

/// The most bytes of float32 scores that exist at a time.
constexpr int64_t kScoreBytes = 256ll << 20;

struct Heads {
  at::Tensor query;  // [B, queries, T, D]
  at::Tensor key;    // [B, keys, T, D]
  at::Tensor value;
  at::Tensor out;  // [B, queries, T, D]
};

/// The heads of one run as views into the rows.
Heads heads_of(const at::Tensor& qkv, const AttentionShape& shape, const HeadRun& run,
               at::Tensor& out) {
  const auto view = [&](const at::Tensor& rows, int64_t first, int64_t heads) {
    return rows.view({-1, shape.positions, rows.size(1) / shape.width, shape.width})
        .narrow(2, first, heads)
        .transpose(1, 2);
  };
  const int64_t key_begin = shape.query_heads + run.key_begin;
  return {view(qkv, run.query_begin, run.queries), view(qkv, key_begin, run.keys),
          view(qkv, key_begin + shape.key_heads, run.keys),
          view(out, run.query_begin, run.queries)};
}

/// Queries [begin, end) and the keys [first_key, end) that they see.
struct Chunk {
  int64_t begin;
  int64_t end;
  int64_t first_key;
};

/// True where a query of the chunk does not see a key: [queries, keys].
at::Tensor hidden_keys(const Chunk& chunk, int64_t window, at::Device device) {
  const auto options = at::TensorOptions().dtype(at::kLong).device(device);
  const auto queries = at::arange(chunk.begin, chunk.end, options).unsqueeze(1);
  const auto keys = at::arange(chunk.first_key, chunk.end, options).unsqueeze(0);
  auto hidden = keys.gt(queries);
  if (window > 0) hidden = hidden.logical_or_(keys.le(queries - window));
  return hidden;
}

/// Chunks of queries, of at most `length`.
template <typename One>
void over_chunks(int64_t positions, int64_t window, int64_t length, const One& one) {
  for (int64_t begin = 0; begin < positions; begin += length) {
    const int64_t first_key = window > 0 ? std::max<int64_t>(0, begin - window + 1) : 0;
    one(Chunk{begin, std::min(begin + length, positions), first_key});
  }
}

/// By ATen's fused operator: no cap, no bias, no sinks.
void attend_fused(const Heads& heads, int64_t window, double scale) {
  const int64_t positions = heads.query.size(2);
  if (window == 0 || window >= positions) {
    heads.out.copy_(at::scaled_dot_product_attention(heads.query, heads.key, heads.value, {}, 0.0,
                                                     true, scale, true));
    return;
  }
  over_chunks(positions, window, window, [&](const Chunk& chunk) {
    const auto hidden = hidden_keys(chunk, window, heads.query.device());
    const auto bias = at::zeros(hidden.sizes(), heads.query.options())
                          .masked_fill_(hidden, -std::numeric_limits<float>::infinity());
    const int64_t queries = chunk.end - chunk.begin, keys = chunk.end - chunk.first_key;
    heads.out.narrow(2, chunk.begin, queries)
        .copy_(at::scaled_dot_product_attention(
            heads.query.narrow(2, chunk.begin, queries), heads.key.narrow(2, chunk.first_key, keys),
            heads.value.narrow(2, chunk.first_key, keys), bias, 0.0, false, scale, true));
  });
}

/// Scores of a chunk in float32, with the softmax written out.
void attend_chunk(const Heads& heads, const Chunk& chunk, int64_t window, const ScoreFacts& facts,
                  const HeadRun& run) {
  const int64_t queries = chunk.end - chunk.begin, keys = chunk.end - chunk.first_key;
  const int64_t group = run.queries / run.keys;
  const auto expanded = [&](const at::Tensor& x) {
    return x.narrow(2, chunk.first_key, keys).to(at::kFloat).repeat_interleave(group, 1);
  };
  const auto query = heads.query.narrow(2, chunk.begin, queries).to(at::kFloat);
  auto scores = at::matmul(query, expanded(heads.key).transpose(2, 3)) * facts.scale;
  if (facts.cap > 0) scores = at::tanh(scores / facts.cap) * facts.cap;
  if (facts.key_bias.defined()) {
    scores += facts.key_bias.narrow(0, run.query_begin, run.queries)
                  .narrow(1, chunk.first_key, keys)
                  .unsqueeze(1);
  }
  scores.masked_fill_(hidden_keys(chunk, window, scores.device()),
                      -std::numeric_limits<float>::infinity());
  if (facts.sinks.defined()) {
    const auto sinks = facts.sinks.narrow(0, run.query_begin, run.queries).view({1, -1, 1, 1});
    scores = at::cat({scores, sinks.expand({scores.size(0), -1, queries, 1})}, 3);
  }
  const auto probability = at::softmax(scores, -1).narrow(3, 0, keys);
  heads.out.narrow(2, chunk.begin, queries).copy_(at::matmul(probability, expanded(heads.value)));
}

}  // namespace

void attend(const at::Tensor& qkv, const AttentionCall& call, at::Tensor& out) {
  const auto& facts = call.scores;
  const int64_t positions = call.shape.positions, window = call.shape.window;
  const bool is_plain = facts.cap == 0 && !facts.key_bias.defined() && !facts.sinks.defined();
  for (const auto& run : call.runs) {
    const auto heads = heads_of(qkv, call.shape, run, out);
    if (is_plain) {
      attend_fused(heads, window, facts.scale);
      continue;
    }
    const int64_t row_bytes = 4 * heads.query.size(0) * run.queries * positions;
    const int64_t length = std::clamp<int64_t>(kScoreBytes / row_bytes, 1, positions);
    over_chunks(positions, window, length,
                [&](const Chunk& chunk) { attend_chunk(heads, chunk, window, facts, run); });
  }
}

}  // namespace aten
}  // namespace actsweep
