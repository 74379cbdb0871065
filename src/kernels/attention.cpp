#include "kernels/attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

namespace actsweep {
namespace {

/// Padding of sequences that no mask hides gives rows of 0, and no summary.
void clear_padding(const AttentionCall& call, at::Tensor& out, AttentionSummary* summary) {
  const int64_t positions = call.shape.positions;
  for (size_t i = 0; i < call.lengths.size(); ++i) {
    const int64_t first = static_cast<int64_t>(i) * positions + call.lengths[i];
    const int64_t rows = positions - call.lengths[i];
    out.narrow(0, first, rows).zero_();
    if (summary == nullptr) continue;
    summary->log_sum_exp.narrow(0, first, rows).zero_();
    summary->entropy.narrow(0, first, rows).zero_();
  }
}

void attend_whole(const at::Tensor& qkv, const AttentionCall& call, at::Tensor& out,
                  AttentionSummary* summary) {
  if (qkv.is_cpu()) {
    const auto kernels = cpu::attention_kernels(qkv.scalar_type(), call.shape.width);
    cpu::attend(qkv, call, *kernels.front(), out, summary);
  } else {
    aten::attend(qkv, call, out, summary);
  }
}

/// Positions [begin, begin + length) of every sequence are sequences of their own.
void attend_run(const at::Tensor& qkv, AttentionCall call, int64_t begin, int64_t length,
                at::Tensor& out, AttentionSummary* summary) {
  const int64_t positions = call.shape.positions;
  const auto run = [&](const at::Tensor& rows) {
    return rows.unflatten(0, {-1, positions}).narrow(1, begin, length);
  };
  call.shape.positions = length;
  auto run_out = at::empty_like(run(out)).flatten(0, 1);
  AttentionSummary of_run;
  if (summary != nullptr) {
    of_run = {at::empty_like(run(summary->log_sum_exp)).flatten(0, 1),
              at::empty_like(run(summary->entropy)).flatten(0, 1)};
  }
  attend_whole(run(qkv).flatten(0, 1).contiguous(), call, run_out,
               summary == nullptr ? nullptr : &of_run);
  run(out).copy_(run_out.unflatten(0, {-1, length}));
  if (summary == nullptr) return;
  run(summary->log_sum_exp).copy_(of_run.log_sum_exp.unflatten(0, {-1, length}));
  run(summary->entropy).copy_(of_run.entropy.unflatten(0, {-1, length}));
}

}  // namespace

void attend(const at::Tensor& qkv, const AttentionCall& call, at::Tensor& out,
            AttentionSummary* summary) {
  if (summary != nullptr) {
    const auto options = qkv.options().dtype(at::kFloat);
    summary->log_sum_exp = at::empty({qkv.size(0), call.shape.query_heads}, options);
    summary->entropy = at::empty_like(summary->log_sum_exp);
  }
  const int64_t chunk = call.shape.chunk, positions = call.shape.positions;
  if (chunk > 0 && chunk < positions) {
    for (int64_t begin = 0; begin < positions; begin += chunk) {
      attend_run(qkv, call, begin, std::min(chunk, positions - begin), out, summary);
    }
  } else {
    attend_whole(qkv, call, out, summary);
  }
  clear_padding(call, out, summary);
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

/// Queries [begin, end) and the keys [first_key, end_key) that they see.
struct Chunk {
  int64_t begin;
  int64_t end;
  int64_t first_key;
  int64_t end_key;

  int64_t queries() const { return end - begin; }
  int64_t keys() const { return end_key - first_key; }
};

/// True where a query of the chunk does not see a key: [queries, keys], or [B, 1, queries, keys]
/// where sequences have padding that no mask hides.
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

/// Chunks of queries, of at most `length`.
template <typename One>
void over_chunks(const AttentionCall& call, int64_t length, const One& one) {
  const auto& shape = call.shape;
  for (int64_t begin = 0; begin < shape.positions; begin += length) {
    const int64_t first_key = shape.window > 0 ? std::max<int64_t>(0, begin - shape.window + 1) : 0;
    const int64_t end = std::min(begin + length, shape.positions);
    const int64_t ahead = end - 1 + shape.window;
    const bool ends_here = shape.is_causal && call.key_ends.empty();
    const bool sees_all = shape.is_causal || shape.window == 0;
    const int64_t end_key = sees_all ? shape.positions : std::min(ahead, shape.positions);
    one(Chunk{begin, end, first_key, ends_here ? end : end_key});
  }
}

/// By ATen's fused operator: no cap, no bias, no sinks.
void attend_fused(const Heads& heads, const AttentionCall& call) {
  const auto& shape = call.shape;
  const double scale = call.scores.scale;
  const bool has_window = shape.window > 0 && shape.window < shape.positions;
  if (!has_window && call.lengths.empty() && call.key_ends.empty()) {
    heads.out.copy_(at::scaled_dot_product_attention(heads.query, heads.key, heads.value, {}, 0.0,
                                                     shape.is_causal, scale, true));
    return;
  }
  over_chunks(call, has_window ? shape.window : shape.positions, [&](const Chunk& chunk) {
    const auto hidden = hidden_keys(chunk, call, heads.query.device());
    const auto bias = at::zeros(hidden.sizes(), heads.query.options())
                          .masked_fill_(hidden, -std::numeric_limits<float>::infinity());
    heads.out.narrow(2, chunk.begin, chunk.queries())
        .copy_(at::scaled_dot_product_attention(
            heads.query.narrow(2, chunk.begin, chunk.queries()),
            heads.key.narrow(2, chunk.first_key, chunk.keys()),
            heads.value.narrow(2, chunk.first_key, chunk.keys()), bias, 0.0, false, scale, true));
  });
}

/// Writes the summary of a chunk from its scores [B, queries, rows, slots].
void summarise(const at::Tensor& scores, const Chunk& chunk, const AttentionCall& call,
               const HeadRun& run, AttentionSummary& summary) {
  const auto place = [&](at::Tensor& whole) {
    return whole.view({-1, call.shape.positions, call.shape.query_heads})
        .narrow(1, chunk.begin, chunk.queries())
        .narrow(2, run.query_begin, run.queries)
        .transpose(1, 2);
  };
  const auto most = scores.amax(-1, /*keepdim=*/true);
  const auto shifted = scores - most;
  const auto exponential = shifted.exp();
  const auto sum = exponential.sum(-1);
  const auto weighted = (exponential * shifted.masked_fill(shifted.isneginf(), 0)).sum(-1);
  place(summary.log_sum_exp).copy_(most.squeeze(-1) + sum.log());
  place(summary.entropy).copy_(sum.log() - weighted / sum);
}

/// Scores of a chunk in float32, with the softmax written out.
void attend_chunk(const Heads& heads, const Chunk& chunk, const AttentionCall& call,
                  const HeadRun& run, AttentionSummary* summary) {
  const auto& facts = call.scores;
  const int64_t group = run.queries / run.keys;
  const auto expanded = [&](const at::Tensor& x) {
    return x.narrow(2, chunk.first_key, chunk.keys()).to(at::kFloat).repeat_interleave(group, 1);
  };
  const auto query = heads.query.narrow(2, chunk.begin, chunk.queries()).to(at::kFloat);
  auto scores = at::matmul(query, expanded(heads.key).transpose(2, 3)) * facts.scale;
  if (facts.cap > 0) scores = at::tanh(scores / facts.cap) * facts.cap;
  if (facts.key_bias.defined()) {
    scores += facts.key_bias.narrow(0, run.query_begin, run.queries)
                  .narrow(1, chunk.first_key, chunk.keys())
                  .unsqueeze(1);
  }
  scores.masked_fill_(hidden_keys(chunk, call, scores.device()),
                      -std::numeric_limits<float>::infinity());
  if (facts.sinks.defined()) {
    const auto sinks = facts.sinks.narrow(0, run.query_begin, run.queries).view({1, -1, 1, 1});
    scores = at::cat({scores, sinks.expand({scores.size(0), -1, chunk.queries(), 1})}, 3);
  }
  const auto mine = [&](const at::Tensor& per_head) {
    return per_head.narrow(0, run.query_begin, run.queries).unsqueeze(1);  // [queries, 1, D]
  };
  if (facts.extra_key.defined()) {
    const auto score = (query * mine(facts.extra_key)).sum(3, /*keepdim=*/true) * facts.scale;
    scores = at::cat({scores, score}, 3);
  }
  if (summary != nullptr) summarise(scores, chunk, call, run, *summary);
  const auto probability = at::softmax(scores, -1);
  auto out = at::matmul(probability.narrow(3, 0, chunk.keys()), expanded(heads.value));
  if (facts.extra_key.defined()) {
    out += probability.narrow(3, chunk.keys(), 1) * mine(facts.extra_value);
  }
  heads.out.narrow(2, chunk.begin, chunk.queries()).copy_(out);
}

}  // namespace

void attend(const at::Tensor& qkv, const AttentionCall& call, at::Tensor& out,
            AttentionSummary* summary) {
  const auto& facts = call.scores;
  const int64_t positions = call.shape.positions;
  const bool is_plain = summary == nullptr && facts.cap == 0 && !facts.key_bias.defined() &&
                        !facts.sinks.defined() && !facts.extra_key.defined();
  for (const auto& run : call.runs) {
    const auto heads = heads_of(qkv, call.shape, run, out);
    if (is_plain) {
      attend_fused(heads, call);
      continue;
    }
    const int64_t row_bytes = 4 * heads.query.size(0) * run.queries * positions;
    const int64_t length = std::clamp<int64_t>(kScoreBytes / row_bytes, 1, positions);
    over_chunks(call, length,
                [&](const Chunk& chunk) { attend_chunk(heads, chunk, call, run, summary); });
  }
}

}  // namespace aten
}  // namespace actsweep
