// Attention on a CPU, by the kernel of each instruction set that this machine has, and by ATen's
// operators, against a softmax over an explicit mask in float64.
#include "kernels/attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace actsweep {
namespace {

/// Sets the summary from scores [B, heads, T, slots].
void summarise(const at::Tensor& scores, AttentionSummary& summary) {
  const auto rows = [](const at::Tensor& x) { return x.transpose(1, 2).flatten(0, 1); };
  const auto probability = at::softmax(scores, -1);
  summary.log_sum_exp = rows(at::logsumexp(scores, {-1}));
  summary.entropy = rows(-at::xlogy(probability, probability).sum(-1));
}

/// Query heads, then key heads, then value heads in the rows of `qkv`.
at::Tensor textbook(const at::Tensor& qkv, const AttentionCall& call, AttentionSummary& summary) {
  const auto& shape = call.shape;
  const int64_t length = shape.positions, width = shape.width;
  const auto heads =
      qkv.to(at::kDouble).view({-1, length, qkv.size(1) / width, width}).transpose(1, 2);
  const int64_t group = shape.query_heads / shape.key_heads;
  const auto part = [&](int64_t first) {
    return heads.narrow(1, first, shape.key_heads).repeat_interleave(group, 1);
  };
  const auto& facts = call.scores;
  auto scores =
      at::matmul(heads.narrow(1, 0, shape.query_heads), part(shape.query_heads).transpose(2, 3)) *
      facts.scale;
  if (facts.cap > 0) scores = at::tanh(scores / facts.cap) * facts.cap;
  if (facts.key_bias.defined()) scores += facts.key_bias.narrow(1, 0, length).unsqueeze(1);
  const auto i = at::arange(length).unsqueeze(1), j = at::arange(length).unsqueeze(0);
  auto hidden = shape.is_causal ? j.gt(i) : j.lt(0).expand({length, length});
  if (shape.window > 0) {
    hidden = hidden.logical_or(j.le(i - shape.window));
    if (!shape.is_causal) hidden = hidden.logical_or(j.ge(i + shape.window));
  }
  if (shape.chunk > 0) {
    const auto run_of = [&](const at::Tensor& x) { return at::div(x, shape.chunk, "floor"); };
    hidden = hidden.logical_or(run_of(i).ne(run_of(j)));
  }
  if (!call.lengths.empty()) {
    hidden = hidden.logical_or(j.ge(at::tensor(call.lengths, at::kLong).view({-1, 1, 1, 1})));
  }
  scores.masked_fill_(hidden, -INFINITY);
  const auto mine = [](const at::Tensor& per_head) {
    return per_head.to(at::kDouble).unsqueeze(1);
  };
  if (facts.extra_key.defined()) {
    const auto score = (heads.narrow(1, 0, shape.query_heads) * mine(facts.extra_key)).sum(3, true);
    scores = at::cat({score * facts.scale, scores}, 3);
    summarise(scores, summary);
    const auto probability = at::softmax(scores, -1);
    const auto sum =
        at::matmul(probability.narrow(3, 1, length), part(shape.query_heads + shape.key_heads)) +
        probability.narrow(3, 0, 1) * mine(facts.extra_value);
    return sum.transpose(1, 2).reshape({-1, shape.query_heads * width});
  }
  if (facts.sinks.defined()) {
    const auto sinks = facts.sinks.to(at::kDouble).view({1, -1, 1, 1});
    scores = at::cat({scores, sinks.expand({scores.size(0), -1, length, 1})}, 3);
  }
  summarise(scores, summary);
  const auto probability = at::softmax(scores, -1).narrow(3, 0, length);
  return at::matmul(probability, part(shape.query_heads + shape.key_heads))
      .transpose(1, 2)
      .reshape({-1, shape.query_heads * width});
}

/// The rows of padding become `value`.
void fill_padding(const AttentionCall& call, const at::Tensor& rows, double value) {
  for (size_t i = 0; i < call.lengths.size(); ++i) {
    rows.view({-1, call.shape.positions, rows.size(1)})[static_cast<int64_t>(i)]
        .slice(0, call.lengths[i])
        .fill_(value);
  }
}

AttentionCall call_of(const AttentionShape& shape) {
  AttentionCall call{};
  call.shape = shape;
  call.scores.scale = 1 / std::sqrt(static_cast<double>(shape.width));
  call.runs = {{0, shape.query_heads, 0, shape.key_heads}};
  return call;
}

// Lengths and widths below and above the kernels' rows, panels and blocks of keys.
const AttentionShape kShapes[] = {{23, 6, 2, 8, 0},     {23, 6, 2, 8, 5},   {23, 6, 2, 8, 64},
                                  {1, 6, 2, 20, 0},     {560, 2, 1, 70, 0}, {560, 2, 1, 70, 530},
                                  {520, 2, 2, 16, 513}, {23, 2, 1, 7, 0}};

class Attention : public testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override { at::manual_seed(7); }

  void expect_textbook(const AttentionCall& call) const {
    const auto& shape = call.shape;
    const int64_t rows = 2 * shape.positions, out_width = shape.query_heads * shape.width;
    const auto qkv =
        at::randn({rows, out_width + 2 * shape.key_heads * shape.width}).to(GetParam());
    fill_padding(call, qkv, 1000);  // would be seen
    AttentionSummary expected_summary;
    auto expected = textbook(qkv, call, expected_summary);
    const auto without_padding = [&](const at::Tensor& whole) { fill_padding(call, whole, 0); };
    for (const auto& whole : {expected, expected_summary.log_sum_exp, expected_summary.entropy}) {
      without_padding(whole);
    }
    auto out = at::empty({rows, out_width}, GetParam());
    const auto check = [&](const auto& attend) {
      out.zero_();
      attend(nullptr);
      without_padding(out);
      expect_close(out, expected);
      out.zero_();
      AttentionSummary summary = {at::full({rows, shape.query_heads}, NAN),
                                  at::full({rows, shape.query_heads}, NAN)};
      attend(&summary);
      for (const auto& whole : {out, summary.log_sum_exp, summary.entropy}) without_padding(whole);
      expect_close(out, expected);
      expect_same(summary, expected_summary);
    };
    check([&](AttentionSummary* summary) { aten::attend(qkv, call, out, summary); });
    for (const auto* kernel : cpu::attention_kernels(GetParam(), shape.width)) {
      check([&](AttentionSummary* summary) { cpu::attend(qkv, call, *kernel, out, summary); });
    }
  }

 private:
  /// In float32 from rows of any type.
  static void expect_same(const AttentionSummary& mine, const AttentionSummary& theirs) {
    EXPECT_TRUE(at::allclose(mine.log_sum_exp.to(at::kDouble), theirs.log_sum_exp, 1e-5, 1e-5));
    EXPECT_TRUE(at::allclose(mine.entropy.to(at::kDouble), theirs.entropy, 0, 2e-5))
        << (mine.entropy.to(at::kDouble) - theirs.entropy).abs().max().item<double>();
  }

  void expect_close(const at::Tensor& mine, const at::Tensor& theirs) const {
    const double tolerance = GetParam() == at::kFloat ? 1e-5 : 1e-2;
    EXPECT_TRUE(at::allclose(mine.to(at::kDouble), theirs, tolerance, tolerance))
        << (mine.to(at::kDouble) - theirs).abs().max().item<double>();
  }
};

TEST_P(Attention, EqualsSoftmaxOverAnExplicitMask) {
  for (const auto& shape : kShapes) expect_textbook(call_of(shape));
}

TEST_P(Attention, SeesAllKeysWhereItIsNotCausal) {
  for (auto shape : kShapes) {
    shape.window = 0;
    shape.is_causal = false;
    auto call = call_of(shape);
    expect_textbook(call);
    call.scores.cap = 2;
    expect_textbook(call);
  }
}

TEST_P(Attention, SeesAWindowOnBothSidesWhereItIsNotCausal) {
  for (auto shape : kShapes) {
    shape.is_causal = false;
    expect_textbook(call_of(shape));
  }
}

TEST_P(Attention, SeesNoPaddingWhereItIsNotCausal) {
  for (auto shape : kShapes) {
    shape.is_causal = false;
    auto call = call_of(shape);
    call.lengths = {shape.positions, (shape.positions + 2) / 3};
    expect_textbook(call);
    std::swap(call.lengths[0], call.lengths[1]);
    call.scores.cap = 2;
    expect_textbook(call);
  }
}

TEST_P(Attention, GroupedHeadsOfAllLayersHaveAFusedKernel) {
  for (const int64_t window : {0, 8}) {
    EXPECT_EQ(aten::fused_backend({64, 6, 2, 16, window}, GetParam(), at::kCPU), "flash");
  }
}

TEST(AttentionOfPaddedSequences, PaddingGivesRowsOfZero) {
  auto call = call_of({5, 2, 1, 8, 0, false});
  call.lengths = {2, 5};
  auto out = at::full({10, 16}, NAN);
  AttentionSummary summary;
  attend(at::randn({10, 32}), call, out, &summary);
  EXPECT_TRUE(out.narrow(0, 2, 3).eq(0).all().item<bool>());
  EXPECT_TRUE(out.narrow(0, 5, 5).isfinite().all().item<bool>());
  EXPECT_TRUE(summary.log_sum_exp.narrow(0, 2, 3).eq(0).all().item<bool>());
}

TEST(AttentionWithinChunks, EqualsSoftmaxOverAnExplicitMask) {
  at::manual_seed(7);
  for (const int64_t chunk : {1, 5, 8, 22, 23, 24}) {
    auto call = call_of({23, 4, 2, 8, 0});
    call.shape.chunk = chunk;
    const auto qkv = at::randn({2 * 23, 64});
    AttentionSummary expected, summary;
    const auto out = textbook(qkv, call, expected);
    for (AttentionSummary* asked : {static_cast<AttentionSummary*>(nullptr), &summary}) {
      auto found = at::empty({2 * 23, 32});
      attend(qkv, call, found, asked);
      EXPECT_TRUE(at::allclose(found.to(at::kDouble), out, 1e-5, 1e-5)) << chunk;
    }
    EXPECT_TRUE(at::allclose(summary.log_sum_exp.to(at::kDouble), expected.log_sum_exp, 0, 1e-5));
    EXPECT_TRUE(at::allclose(summary.entropy.to(at::kDouble), expected.entropy, 0, 2e-5));
  }
}

TEST_P(Attention, CapsScores) {
  for (const auto& shape : kShapes) {
    auto call = call_of(shape);
    call.scores.scale *= 3;
    call.scores.cap = 2;
    expect_textbook(call);
  }
}

TEST_P(Attention, AddsABiasToEachKey) {
  for (const auto& shape : kShapes) {
    auto call = call_of(shape);
    call.scores.key_bias = at::randn({shape.query_heads, shape.positions + 9});
    expect_textbook(call);
  }
}

TEST_P(Attention, LetsSinksTakePartInTheSoftmax) {
  for (const auto& shape : kShapes) {
    auto call = call_of(shape);
    call.scores.sinks = at::randn({shape.query_heads}) * 4;  // above and below all scores
    expect_textbook(call);
  }
}

TEST_P(Attention, ShowsAnExtraKeyToEveryQuery) {
  for (const auto& shape : kShapes) {
    auto call = call_of(shape);
    call.scores.extra_key = at::randn({shape.query_heads, shape.width}) * 3;
    call.scores.extra_value = at::randn({shape.query_heads, shape.width});
    expect_textbook(call);
  }
}

TEST_P(Attention, TakesScoresFarApartAndPassesNotANumberOn) {
  auto call = call_of({600, 1, 1, 16, 0});
  auto qkv = at::randn({600, 48});
  qkv.narrow(1, 0, 32).mul_(40);  // scores in the thousands
  qkv = qkv.to(GetParam());
  auto out = at::empty({600, 16}, GetParam());
  AttentionSummary summary;
  for (const auto* kernel : cpu::attention_kernels(GetParam(), 16)) {
    cpu::attend(qkv, call, *kernel, out);
    const auto error = (out.to(at::kDouble) - textbook(qkv, call, summary)).abs().max();
    EXPECT_LT(error.item<double>(), GetParam() == at::kFloat ? 1e-3 : 2e-2);
  }
  qkv[300][20] = std::nanf("");
  for (const auto* kernel : cpu::attention_kernels(GetParam(), 16)) {
    cpu::attend(qkv, call, *kernel, out);
    const auto is_nan = out.isnan().any(1);
    EXPECT_FALSE(is_nan.narrow(0, 0, 300).any().item<bool>());
    EXPECT_TRUE(is_nan.narrow(0, 300, 300).all().item<bool>());
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, Attention, testing::Values(at::kFloat, at::kBFloat16, at::kHalf));

}  // namespace
}  // namespace actsweep
