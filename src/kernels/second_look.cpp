#include "kernels/second_look.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "kernels/attention_chunks.h"

namespace actsweep {
namespace {

void look_whole(const at::Tensor& qkv, const AttentionCall& call, const at::Tensor& log_sum_exp,
                const std::vector<int64_t>& lengths, ScoreSummary& summary) {
  if (qkv.is_cpu()) {
    const auto kernels = cpu::attention_kernels(qkv.scalar_type(), call.shape.width);
    cpu::look_again(qkv, call, *kernels.front(), log_sum_exp, lengths, summary);
  } else {
    aten::look_again(qkv, call, log_sum_exp, lengths, summary);
  }
}

/// Positions [begin, begin + length) of every sequence are sequences of their own.
void look_at_run(const at::Tensor& qkv, AttentionCall call, const at::Tensor& log_sum_exp,
                 std::vector<int64_t> lengths, int64_t begin, int64_t length,
                 const SecondLookAsked& asked, ScoreSummary& summary) {
  const int64_t positions = call.shape.positions;
  const auto run = [&](const at::Tensor& rows) {
    return rows.unflatten(0, {-1, positions}).narrow(1, begin, length).flatten(0, 1).contiguous();
  };
  call.shape.positions = length;
  for (auto& tokens : lengths) tokens = std::clamp<int64_t>(tokens - begin, 0, length);
  auto of_run =
      empty_summary(call.shape, static_cast<int64_t>(lengths.size()), qkv.device(), asked);
  look_whole(run(qkv), call, run(log_sum_exp), lengths, of_run);
  if (asked.received) summary.received.narrow(2, begin, length).copy_(of_run.received);
  if (!asked.largest) return;
  of_run.largest_query += begin;
  of_run.largest_key += begin;
  keep_larger(summary, of_run);
}

}  // namespace

ScoreSummary empty_summary(const AttentionShape& shape, int64_t sequences, at::Device device,
                           const SecondLookAsked& asked) {
  const auto floats = at::TensorOptions(device).dtype(at::kFloat);
  ScoreSummary summary;
  if (asked.received) {
    summary.received = at::zeros({sequences, shape.query_heads, shape.positions}, floats);
  }
  if (asked.largest) {
    summary.largest =
        at::full({sequences, shape.query_heads}, -std::numeric_limits<float>::infinity(), floats);
    summary.largest_query = at::full_like(summary.largest, -1, floats.dtype(at::kLong));
    summary.largest_key = summary.largest_query.clone();
  }
  return summary;
}

void keep_larger(ScoreSummary& summary, const ScoreSummary& later) {
  const auto is_larger = later.largest.gt(summary.largest);
  summary.largest = at::where(is_larger, later.largest, summary.largest);
  summary.largest_query = at::where(is_larger, later.largest_query, summary.largest_query);
  summary.largest_key = at::where(is_larger, later.largest_key, summary.largest_key);
}

ScoreSummary look_again(const at::Tensor& qkv, const AttentionCall& call,
                        const at::Tensor& log_sum_exp, const std::vector<int64_t>& lengths,
                        const SecondLookAsked& asked) {
  auto summary =
      empty_summary(call.shape, static_cast<int64_t>(lengths.size()), qkv.device(), asked);
  const int64_t chunk = call.shape.chunk, positions = call.shape.positions;
  if (chunk == 0 || chunk >= positions) {
    look_whole(qkv, call, log_sum_exp, lengths, summary);
    return summary;
  }
  for (int64_t begin = 0; begin < positions; begin += chunk) {
    look_at_run(qkv, call, log_sum_exp, lengths, begin, std::min(chunk, positions - begin), asked,
                summary);
  }
  return summary;
}

namespace aten {
namespace {

/// The largest of scores [B, queries, rows, keys], with the first query and key that have it.
ScoreSummary largest_of(const at::Tensor& scores, const Chunk& chunk) {
  const auto [by_row, key] = scores.max(3);  // of equal ones ATen may take any
  const auto most = by_row.amax(2);          // [B, queries]
  const auto is_most = scores.eq(most.unsqueeze(2).unsqueeze(3)).flatten(2);
  const auto place = at::arange(is_most.size(2), is_most.options().dtype(at::kLong));
  const auto first = at::where(is_most, place, is_most.size(2)).amin(2);
  const auto is_none = most.isneginf();
  return {{},
          most,
          (at::div(first, chunk.keys(), "floor") + chunk.begin).masked_fill(is_none, -1),
          (at::remainder(first, chunk.keys()) + chunk.first_key).masked_fill(is_none, -1)};
}

struct Look {
  const at::Tensor& log_sum_exp;  // [n, query heads]
  const at::Tensor& length;       // [B, 1, 1, 1] int64
  ScoreSummary& summary;
};

void look_at_chunk(const QueryKeyHeads& heads, const Chunk& chunk, const AttentionCall& call,
                   const HeadRun& run, const Look& look) {
  auto scores = chunk_scores(heads, chunk, call, run);
  const auto options = look.length.options();
  const auto query = at::arange(chunk.begin, chunk.end, options).unsqueeze(1);
  const auto key = at::arange(chunk.first_key, chunk.end_key, options).unsqueeze(0);
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  scores.masked_fill_(query.ge(look.length).logical_or(key.ge(look.length)), kHidden);
  auto& summary = look.summary;
  const auto mine = [&](const at::Tensor& all) {
    return all.narrow(1, run.query_begin, run.queries);
  };
  if (summary.largest.defined()) {
    ScoreSummary before = {
        {}, mine(summary.largest), mine(summary.largest_query), mine(summary.largest_key)};
    keep_larger(before, largest_of(scores, chunk));
    mine(summary.largest).copy_(before.largest);
    mine(summary.largest_query).copy_(before.largest_query);
    mine(summary.largest_key).copy_(before.largest_key);
  }
  if (!summary.received.defined()) return;
  const auto log_sum_exp = look.log_sum_exp.view({scores.size(0), -1, call.shape.query_heads})
                               .narrow(1, chunk.begin, chunk.queries())
                               .narrow(2, run.query_begin, run.queries)
                               .transpose(1, 2)
                               .unsqueeze(3);
  scores.masked_fill_(query.eq(key), kHidden);
  mine(summary.received)
      .narrow(2, chunk.first_key, chunk.keys())
      .add_((scores - log_sum_exp).exp_().sum(2));
}

}  // namespace

void look_again(const at::Tensor& qkv, const AttentionCall& call, const at::Tensor& log_sum_exp,
                const std::vector<int64_t>& lengths, ScoreSummary& summary) {
  const auto length = at::tensor(lengths, at::kLong).to(qkv.device()).view({-1, 1, 1, 1});
  for (const auto& run : call.runs) {
    const auto heads = query_key_heads(qkv, call.shape, run);
    over_chunks(call, chunk_length(call.shape, heads.query.size(0), run.queries),
                [&](const Chunk& chunk) {
                  look_at_chunk(heads, chunk, call, run, {log_sum_exp, length, summary});
                });
  }
}

}  // namespace aten
}  // namespace actsweep
