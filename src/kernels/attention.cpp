#include "kernels/attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "kernels/attention_chunks.h"

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

struct Heads : QueryKeyHeads {
  at::Tensor value;  // [B, keys, T, D]
  at::Tensor out;    // [B, queries, T, D]
};

/// The heads of one run as views into the rows.
Heads heads_of(const at::Tensor& qkv, const AttentionShape& shape, const HeadRun& run,
               at::Tensor& out) {
  const int64_t first_value = shape.query_heads + shape.key_heads + run.key_begin;
  return {query_key_heads(qkv, shape, run), heads_in(qkv, shape, first_value, run.keys),
          heads_in(out, shape, run.query_begin, run.queries)};
}

/// What one call of ATen's fused operator takes.
struct FusedCall {
  at::Tensor query;  // [B, queries, rows, D]
  at::Tensor key;    // [B, keys, columns, D]
  at::Tensor value;
  std::optional<at::Tensor> bias;
  bool is_causal = false;
  bool shares_keys = false;  // queries > keys
};

/// Calls `one(call, out)`. ATen has fused kernels for query heads that share a key head in half
/// types and without a mask; else it would hold all scores. There each key head has a call of its
/// own, in which a stride of 0 repeats it.
template <typename One>
void over_fused_calls(FusedCall call, const at::Tensor& out, const One& one) {
  const int64_t keys = call.key.size(1), group = call.query.size(1) / keys;
  call.shares_keys = group > 1;
  if (group == 1 || (!call.bias && call.query.scalar_type() != at::kFloat)) return one(call, out);
  const auto repeated = [&](const at::Tensor& heads, int64_t head) {
    return heads.narrow(1, head, 1).expand({-1, group, -1, -1});
  };
  for (int64_t head = 0; head < keys; ++head) {
    const auto queries = [&](const at::Tensor& all) { return all.narrow(1, head * group, group); };
    one(FusedCall{queries(call.query), repeated(call.key, head), repeated(call.value, head),
                  call.bias, call.is_causal},
        queries(out));
  }
}

void run_fused(const FusedCall& call, const at::Tensor& out, double scale) {
  over_fused_calls(call, out, [&](const FusedCall& one, const at::Tensor& of_one) {
    of_one.copy_(at::scaled_dot_product_attention(one.query, one.key, one.value, one.bias, 0.0,
                                                  one.is_causal, scale, one.shares_keys));
  });
}

/// -inf where a key is hidden, else 0.
at::Tensor bias_of(const at::Tensor& hidden, const at::Tensor& query) {
  return at::zeros(hidden.sizes(), query.options())
      .masked_fill_(hidden, -std::numeric_limits<float>::infinity());
}

/// By ATen's fused operator: no cap, no bias, no sinks.
void attend_fused(const Heads& heads, const AttentionCall& call) {
  const auto& shape = call.shape;
  const double scale = call.scores.scale;
  const bool has_window = shape.window > 0 && shape.window < shape.positions;
  if (!has_window && call.lengths.empty() && call.key_ends.empty()) {
    run_fused({heads.query, heads.key, heads.value, {}, shape.is_causal}, heads.out, scale);
    return;
  }
  over_chunks(call, has_window ? shape.window : shape.positions, [&](const Chunk& chunk) {
    const auto queries = [&](const at::Tensor& all) {
      return all.narrow(2, chunk.begin, chunk.queries());
    };
    const auto keys = [&](const at::Tensor& all) {
      return all.narrow(2, chunk.first_key, chunk.keys());
    };
    const auto bias = bias_of(hidden_keys(chunk, call, heads.query.device()), heads.query);
    run_fused({queries(heads.query), keys(heads.key), keys(heads.value), bias}, queries(heads.out),
              scale);
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
  const auto query = heads.query.narrow(2, chunk.begin, chunk.queries()).to(at::kFloat);
  auto scores = chunk_scores(heads, chunk, call, run);
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
  auto out =
      at::matmul(probability.narrow(3, 0, chunk.keys()), of_query_heads(heads.value, chunk, run));
  if (facts.extra_key.defined()) {
    out += probability.narrow(3, chunk.keys(), 1) * mine(facts.extra_value);
  }
  heads.out.narrow(2, chunk.begin, chunk.queries()).copy_(out);
}

}  // namespace

void attend(const at::Tensor& qkv, const AttentionCall& call, at::Tensor& out,
            AttentionSummary* summary) {
  const auto& facts = call.scores;
  const bool is_plain = summary == nullptr && facts.cap == 0 && !facts.key_bias.defined() &&
                        !facts.sinks.defined() && !facts.extra_key.defined();
  for (const auto& run : call.runs) {
    const auto heads = heads_of(qkv, call.shape, run, out);
    if (is_plain) {
      attend_fused(heads, call);
      continue;
    }
    over_chunks(call, chunk_length(call.shape, heads.query.size(0), run.queries),
                [&](const Chunk& chunk) { attend_chunk(heads, chunk, call, run, summary); });
  }
}

std::string fused_backend(const AttentionShape& shape, at::ScalarType dtype, at::Device device) {
  const auto options = at::TensorOptions().dtype(dtype).device(device);
  const auto heads = [&](int64_t count) {
    return at::zeros({1, count, shape.positions, shape.width}, options);
  };
  FusedCall call{heads(shape.query_heads), heads(shape.key_heads), heads(shape.key_heads), {},
                 shape.is_causal};
  if (shape.window > 0 && shape.window < shape.positions) {
    call.bias = at::zeros({shape.positions, shape.positions}, options);
    call.is_causal = false;
  }
  int64_t choice = 0;
  over_fused_calls(call, call.query, [&](const FusedCall& one, const at::Tensor&) {
    choice = at::_fused_sdp_choice(one.query, one.key, one.value, one.bias, 0.0, one.is_causal,
                                   std::nullopt, one.shares_keys);
  });
  static constexpr std::array kNames = {"math", "flash", "memory-efficient", "cuDNN"};
  return choice >= 0 && choice < std::ssize(kNames) ? kNames[choice] : "other";
}

}  // namespace aten
}  // namespace actsweep
