// A second look at the scores of attention, when their softmax is known: what each key receives
// from all queries, and the largest score of each head. No T x T tensor is made.
//
// In: the rows that attention took, and the log-sum-exp that it left. Out: float32 by sequence and
// head. Padding gives and receives nothing.
#pragma once

#include <vector>

#include "kernels/attention.h"

namespace actsweep {

struct SecondLookAsked {
  bool received = false;
  bool largest = false;
};

struct ScoreSummary {
  /// [S, query heads, T] float32: sum over the queries that see a key, but for the one at its own
  /// position, of their probability on it. Undefined where it is not asked for, as are the others.
  at::Tensor received;
  at::Tensor largest;        // [S, query heads] float32: of all queries and keys; -inf without any
  at::Tensor largest_query;  // [S, query heads] int64: the first query that has it; -1
  at::Tensor largest_key;    // [S, query heads] int64: its first key; -1
};

/// `qkv` and `call` as of attend, `log_sum_exp` [n, query heads] float32 as it left it; `lengths`
/// [S]: the tokens of each sequence.
ScoreSummary look_again(const at::Tensor& qkv, const AttentionCall& call,
                        const at::Tensor& log_sum_exp, const std::vector<int64_t>& lengths,
                        const SecondLookAsked& asked);

/// How many chunks of queries have sums of their own on a CPU, which are added at the end: by the
/// positions alone, so that any number of threads and heads adds in one order.
int64_t look_chunks(int64_t positions);

namespace cpu {
void look_again(const at::Tensor& qkv, const AttentionCall& call, const AttentionKernel& kernel,
                const at::Tensor& log_sum_exp, const std::vector<int64_t>& lengths,
                ScoreSummary& summary);
}  // namespace cpu

/// By ATen's device-independent operators: what runs on a GPU.
namespace aten {
void look_again(const at::Tensor& qkv, const AttentionCall& call, const at::Tensor& log_sum_exp,
                const std::vector<int64_t>& lengths, ScoreSummary& summary);
}  // namespace aten

/// Of `sequences` sequences, filled with what nothing was seen of.
ScoreSummary empty_summary(const AttentionShape& shape, int64_t sequences, at::Device device,
                           const SecondLookAsked& asked);

/// Replaces largest scores by those of later queries [S, query heads], where they are larger.
void keep_larger(ScoreSummary& summary, const ScoreSummary& later);

}  // namespace actsweep
