// The second look at scores, by the kernel of each instruction set that this machine has and by
// ATen's operators, against an explicit mask in float64.
#include "kernels/second_look.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <iterator>
#include <span>

namespace actsweep {
namespace {

/// [B, heads, T, T] float64 scores, -inf where a query does not see a key or is padding.
at::Tensor textbook(const at::Tensor& qkv, const AttentionCall& call,
                    const std::vector<int64_t>& lengths) {
  const auto& shape = call.shape;
  const auto heads = qkv.to(at::kDouble)
                         .view({-1, shape.positions, qkv.size(1) / shape.width, shape.width})
                         .transpose(1, 2);
  const auto keys = heads.narrow(1, shape.query_heads, shape.key_heads)
                        .repeat_interleave(shape.query_heads / shape.key_heads, 1);
  auto scores =
      at::matmul(heads.narrow(1, 0, shape.query_heads), keys.transpose(2, 3)) * call.scores.scale;
  if (call.scores.cap > 0) scores = at::tanh(scores / call.scores.cap) * call.scores.cap;
  if (call.scores.key_bias.defined()) {
    scores += call.scores.key_bias.narrow(1, 0, shape.positions).unsqueeze(1);
  }
  const auto i = at::arange(shape.positions).unsqueeze(1), j = at::arange(shape.positions);
  auto hidden = shape.is_causal ? j.gt(i) : j.lt(i * 0);
  if (shape.window > 0) hidden = hidden.logical_or((i - j).abs().ge(shape.window));
  if (shape.chunk > 0) {
    hidden =
        hidden.logical_or(at::div(i, shape.chunk, "floor").ne(at::div(j, shape.chunk, "floor")));
  }
  const auto length = at::tensor(lengths, at::kLong).view({-1, 1, 1, 1});
  hidden = hidden.logical_or(i.ge(length)).logical_or(j.ge(length));
  return scores.masked_fill(hidden, -INFINITY);
}

/// The log-sum-exp of all slots, 0 in padding: [n, heads] float32.
at::Tensor log_sum_exp_of(const at::Tensor& scores, const AttentionCall& call) {
  auto slots = scores;
  if (call.scores.sinks.defined()) {
    auto sinks = call.scores.sinks.to(at::kDouble).view({1, -1, 1, 1});
    slots = at::cat({slots, sinks.expand({scores.size(0), -1, scores.size(2), 1})}, 3);
  }
  const auto sum = at::logsumexp(slots, {3});
  return sum.masked_fill(sum.isneginf(), 0).transpose(1, 2).flatten(0, 1).to(at::kFloat);
}

void expect_summary(const ScoreSummary& found, const at::Tensor& scores,
                    const at::Tensor& log_sum_exp, int64_t positions) {
  const auto of_queries = log_sum_exp.to(at::kDouble)
                              .view({scores.size(0), positions, -1})
                              .transpose(1, 2)
                              .unsqueeze(3);
  const auto received =
      (scores - of_queries).exp().masked_fill(at::eye(positions, at::kBool), 0).sum(2);
  EXPECT_TRUE(at::allclose(found.received.to(at::kDouble), received, 2e-5, 1e-6))
      << (found.received.to(at::kDouble) - received).abs().max().item<double>();
  const auto largest = scores.amax({2, 3});
  EXPECT_TRUE(at::allclose(found.largest.to(at::kDouble), largest, 1e-5, 1e-5));
  for (int64_t sequence = 0; sequence < scores.size(0); ++sequence) {
    for (int64_t head = 0; head < scores.size(1); ++head) {
      const auto query = found.largest_query[sequence][head].item<int64_t>();
      const auto key = found.largest_key[sequence][head].item<int64_t>();
      const double most = largest[sequence][head].item<double>();
      if (std::isinf(most)) {
        EXPECT_EQ(query, -1);
        EXPECT_EQ(key, -1);
      } else {
        EXPECT_NEAR(scores[sequence][head][query][key].item<double>(), most,
                    1e-5 * (1 + std::abs(most)));
      }
    }
  }
}

class SecondLookAt : public testing::TestWithParam<at::ScalarType> {};

TEST_P(SecondLookAt, EqualsAnExplicitMask) {
  at::manual_seed(11);
  const AttentionShape shapes[] = {{23, 6, 2, 8, 0},   {23, 6, 2, 8, 5},     {1, 6, 2, 20, 0},
                                   {560, 2, 1, 70, 0}, {560, 2, 1, 70, 530}, {23, 2, 1, 7, 0}};
  const std::function<void(AttentionCall&)> changes[] = {
      [](AttentionCall&) {},
      [](AttentionCall& call) { call.scores.cap = 2; },
      [](AttentionCall& call) {
        call.scores.key_bias = at::randn({call.shape.query_heads, call.shape.positions + 9});
      },
      [](AttentionCall& call) { call.scores.sinks = at::randn({call.shape.query_heads}) * 4; },
      [](AttentionCall& call) { call.shape.is_causal = false; },
  };
  for (const auto& shape : shapes) {
    const size_t many = shape.positions > 100 ? 2 : std::size(changes);  // in float64 they take long
    for (const auto& change : std::span(changes).first(many)) {
      AttentionCall call{};
      call.shape = shape;
      call.scores.scale = 1 / std::sqrt(static_cast<double>(shape.width));
      call.runs = {{0, shape.query_heads, 0, shape.key_heads}};
      change(call);
      const std::vector<int64_t> lengths = {shape.positions, (shape.positions + 2) / 3, 0};
      if (!call.shape.is_causal) call.lengths = lengths;
      const int64_t heads = shape.query_heads + 2 * shape.key_heads;
      const auto qkv = at::randn({3 * shape.positions, heads * shape.width}).to(GetParam());
      const auto scores = textbook(qkv, call, lengths);
      const auto log_sum_exp = log_sum_exp_of(scores, call);
      const auto check = [&](const auto& look) {
        auto found = empty_summary(call.shape, 3, at::kCPU, {true, true});
        look(found);
        expect_summary(found, scores, log_sum_exp, shape.positions);
      };
      check([&](auto& found) { aten::look_again(qkv, call, log_sum_exp, lengths, found); });
      for (const auto* kernel : cpu::attention_kernels(GetParam(), shape.width)) {
        check(
            [&](auto& found) { cpu::look_again(qkv, call, *kernel, log_sum_exp, lengths, found); });
      }
    }
  }
}

TEST(SecondLookWithinChunks, EqualsAnExplicitMask) {
  at::manual_seed(12);
  for (const int64_t chunk : {1, 5, 22, 23, 24}) {
    AttentionCall call{};
    call.shape = {23, 4, 2, 8, 0};
    call.shape.chunk = chunk;
    call.scores.scale = 0.5;
    call.runs = {{0, 4, 0, 2}};
    const auto qkv = at::randn({2 * 23, 64});
    const std::vector<int64_t> lengths = {23, 9};
    const auto scores = textbook(qkv, call, lengths);
    const auto log_sum_exp = log_sum_exp_of(scores, call);
    expect_summary(look_again(qkv, call, log_sum_exp, lengths, {true, true}), scores, log_sum_exp,
                   23);
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, SecondLookAt,
                         testing::Values(at::kFloat, at::kBFloat16, at::kHalf));

}  // namespace
}  // namespace actsweep
