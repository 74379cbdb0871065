#include "kernels/shifted_attention.h"

#include <ATen/ATen.h>

namespace actsweep {
namespace {

/// The call of the sequence whose rows begin at `first`; `shift` [positions, query heads].
AttentionCall call_of_one(const AttentionCall& call, int64_t first, const at::Tensor& shift) {
  const int64_t positions = call.shape.positions;
  AttentionCall one = call;
  auto& bias = one.scores.key_bias;
  bias = bias.defined() ? bias.narrow(1, 0, positions) + shift.t() : shift.t().contiguous();
  if (!call.lengths.empty()) one.lengths = {call.lengths[first / positions]};
  if (!call.key_ends.empty()) {
    const auto begin = call.key_ends.begin() + first;
    one.key_ends.assign(begin, begin + positions);
  }
  return one;
}

}  // namespace

void attend_shifted(const at::Tensor& qkv, const AttentionCall& call, const at::Tensor& shift,
                    at::Tensor& out, AttentionSummary* summary) {
  if (!shift.defined()) return attend(qkv, call, out, summary);
  const int64_t positions = call.shape.positions;
  if (summary != nullptr) summary->log_sum_exp = at::empty_like(shift);
  if (summary != nullptr) summary->entropy = at::empty_like(shift);
  for (int64_t first = 0; first < qkv.size(0); first += positions) {
    const auto rows = [&](const at::Tensor& all) { return all.narrow(0, first, positions); };
    auto out_of_one = rows(out);
    AttentionSummary of_one;
    attend(rows(qkv), call_of_one(call, first, rows(shift)), out_of_one,
           summary == nullptr ? nullptr : &of_one);
    if (summary == nullptr) continue;
    rows(summary->log_sum_exp).copy_(of_one.log_sum_exp);
    rows(summary->entropy).copy_(of_one.entropy);
  }
}

at::Tensor of_query_heads(const at::Tensor& of_keys, const std::vector<HeadRun>& runs,
                          int64_t first_key) {
  std::vector<int64_t> key_of;
  for (const auto& run : runs) {
    for (int64_t query = 0; query < run.queries; ++query) {
      key_of.push_back(first_key + run.key_begin + query / (run.queries / run.keys));
    }
  }
  return of_keys.index_select(1, at::tensor(key_of, at::kLong).to(of_keys.device()));
}

}  // namespace actsweep
