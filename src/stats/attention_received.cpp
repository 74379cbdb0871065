#include "stats/attention_received.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "measure/measurement.h"
#include "schema/declare_statistics.h"
#include "stats/token_rows.h"

namespace actsweep {
namespace {

constexpr float kNoValue = std::numeric_limits<float>::quiet_NaN();

}  // namespace

at::Tensor other_queries(const AttentionShape& shape, const at::Tensor& lengths) {
  const auto key = at::arange(shape.positions, lengths.options()).unsqueeze(0);  // [1, T]
  const auto length = lengths.unsqueeze(1);                                      // [S, 1]
  auto begin = at::zeros_like(key).expand({lengths.size(0), -1});
  auto end = length.expand({-1, shape.positions});
  if (shape.chunk > 0) {
    begin = begin + at::div(key, shape.chunk, "floor") * shape.chunk;
    end = at::minimum(end, begin + shape.chunk);
  }
  if (shape.window > 0) {
    begin = at::maximum(begin, key - (shape.window - 1));
    end = at::minimum(end, key + shape.window);
  }
  if (shape.is_causal) begin = key;
  return (end - begin - 1).clamp_min(0).masked_fill(key.ge(length), 0);
}

/// Means of this rank's heads over the queries, in the layout of all heads.
struct AttentionReceived::Heads {
  at::Tensor sum;       // [S, T] float64: over its heads
  at::Tensor largest;   // [S, T] float32: of its heads; -1 without any
  at::Tensor top;       // [S, heads] float32: 0 where a head is another rank's
  at::Tensor position;  // [S, heads] int64
};

struct AttentionReceived::OverHeads {
  at::Tensor mean, largest, top, position;
};

AttentionReceived::AttentionReceived(const Job& job, const Group& group, const ModelShare& share,
                                     int64_t heads)
    : group_(group),
      share_(share),
      heads_(heads),
      of_tokens_(declare_received_by_tokens(job.output.per_token)),
      of_sequences_(declare_received_by_sequences()) {}

AttentionReceived::Heads AttentionReceived::heads_of(const at::Tensor& received,
                                                     const at::Tensor& queries,
                                                     const at::Tensor& lengths) const {
  const auto options = queries.options();
  const int64_t sequences = queries.size(0);
  Heads mine = {at::zeros(queries.sizes(), options.dtype(at::kDouble)),
                at::full(queries.sizes(), -1, options.dtype(at::kFloat)),
                at::zeros({sequences, heads_}, options.dtype(at::kFloat)),
                at::zeros({sequences, heads_}, options)};
  if (!received.defined()) return mine;
  const auto mean = received / queries.clamp_min(1).to(at::kFloat).unsqueeze(1);  // [S, h, T]
  mine.sum = mean.to(at::kDouble).sum(1);
  mine.largest = mean.amax(1);
  const auto position = at::arange(queries.size(1), options).unsqueeze(0);
  const auto is_late = (position * 2).ge(lengths.unsqueeze(1)).logical_or(queries.eq(0));
  const auto candidate = mean.masked_fill(is_late.unsqueeze(1), -1);
  const auto top = candidate.amax(2);
  const auto first =
      at::where(candidate.eq(top.unsqueeze(2)), position.unsqueeze(1), queries.size(1)).amin(2);
  mine.top.narrow(1, share_.query_heads.begin, top.size(1)).copy_(top);
  mine.position.narrow(1, share_.query_heads.begin, top.size(1)).copy_(first);
  return mine;
}

/// Heads are no two ranks', so that their sums are what each one's rank has found.
AttentionReceived::OverHeads AttentionReceived::over_all_heads(const Heads& mine) const {
  auto sum = mine.sum.contiguous(), largest = mine.largest.contiguous();
  auto top = mine.top, position = mine.position;
  group_.all_reduce(sum, Reduction::kSum);
  group_.all_reduce(largest, Reduction::kMax);
  group_.all_reduce(top, Reduction::kSum);
  group_.all_reduce(position, Reduction::kSum);
  return {(sum / static_cast<double>(heads_)).to(at::kFloat), largest, top, position};
}

void AttentionReceived::update(const AttentionShape& shape, const at::Tensor& received,
                               const GatheredSequences& sequences, const at::Tensor& is_finite,
                               const OwnedRows& own, RowSink& sink) {
  const auto queries = other_queries(shape, sequences.length);
  const auto all = over_all_heads(heads_of(received, queries, sequences.length));
  const int64_t first = group_.rank() * own.padded_sequences;
  const auto owned = [&](const at::Tensor& values) {
    return values.narrow(0, first, own.padded_sequences);
  };
  const auto is_absent = owned(is_finite.logical_not().unsqueeze(1));
  const auto here = [&](const at::Tensor& values, const at::Tensor& is_none) {
    return owned(values).masked_fill(is_none.logical_or(is_absent), kNoValue).to(at::kCPU);
  };
  const auto is_unseen = owned(queries).eq(0), has_no_top = owned(all.top).lt(0);
  mean_ = here(all.mean, is_unseen);
  largest_ = here(all.largest, is_unseen);
  top_ = here(all.top, has_no_top);
  position_ = owned(all.position)
                  .masked_fill(has_no_top.logical_or(is_absent), static_cast<int64_t>(kNoIndex))
                  .to(at::kCPU);
  append_tokens(own, sink);
  append_sequences(own, sink);
}

void AttentionReceived::skip(const OwnedRows& own, RowSink& sink) {
  mean_ = largest_ = at::full({own.padded_sequences, own.padded_length}, kNoValue, at::kFloat);
  top_ = at::full({own.padded_sequences, heads_}, kNoValue, at::kFloat);
  position_ = at::full_like(top_, static_cast<int64_t>(kNoIndex), at::kLong);
  append_tokens(own, sink);
  append_sequences(own, sink);
}

void AttentionReceived::append_tokens(const OwnedRows& own, RowSink& sink) {
  if (of_tokens_.empty()) return;
  append_token_rows(of_tokens_[0], mean_, own, sink);
  append_token_rows(of_tokens_[1], largest_, own, sink);
}

void AttentionReceived::append_sequences(const OwnedRows& own, RowSink& sink) {
  const auto count = own.windows.size() * static_cast<size_t>(heads_);
  const auto position = position_.contiguous(), top = top_.contiguous();
  const auto* from = position.const_data_ptr<int64_t>();
  const auto* mean = top.const_data_ptr<float>();
  std::vector<uint32_t> positions(count);
  std::transform(from, from + count, positions.begin(),
                 [](int64_t value) { return static_cast<uint32_t>(value); });
  sink.append(of_sequences_[0], bytes_of(positions));
  sink.append(of_sequences_[1], bytes_of(std::vector<float>(mean, mean + count)));
}

}  // namespace actsweep
