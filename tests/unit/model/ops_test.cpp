// The CPU kernels against ATen's operators, which are what runs on a GPU.
#include "model/ops.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "model/attention.h"

namespace actsweep {
namespace {

class Ops : public testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override { at::manual_seed(7); }
  at::Tensor random(at::IntArrayRef shape) const { return at::randn(shape).to(GetParam()); }
  double tolerance() const { return GetParam() == at::kFloat ? 1e-5 : 1e-2; }
  void expect_close(const at::Tensor& mine, const at::Tensor& theirs) const {
    EXPECT_TRUE(at::allclose(mine.to(at::kFloat), theirs.to(at::kFloat), tolerance(), tolerance()))
        << (mine.to(at::kFloat) - theirs.to(at::kFloat)).abs().max().item<float>();
  }
};

TEST_P(Ops, NormEqualsAten) {
  const auto residual = at::randn({5, 77}) * 30;
  const Norm norm{at::randn({77}), 1e-5};
  auto mine = at::empty({5, 77}, GetParam()), theirs = mine.clone();
  cpu::rms_norm(residual, norm, mine);
  aten::rms_norm(residual, norm, theirs);
  expect_close(mine, theirs);
}

TEST_P(Ops, AddAndNormEqualsAtenInBothOutputs) {
  auto residual = at::randn({6, 33}), same = residual.clone();
  const auto partial = random({6, 33});
  const Norm norm{at::randn({33}), 1e-6};
  auto mine = at::empty({6, 33}, GetParam()), theirs = mine.clone();
  cpu::add_and_norm(residual, partial, norm, mine);
  aten::add_and_norm(same, partial, norm, theirs);
  EXPECT_TRUE(at::equal(residual, same));
  expect_close(mine, theirs);
}

TEST_P(Ops, RotationEqualsAtenAndKeepsValues) {
  Architecture a;
  a.head_width = 10;
  const auto table = rotary_table(a, 4, at::kCPU);
  auto mine = random({8, 50}), theirs = mine.clone();
  const auto values = mine.narrow(1, 30, 20).clone();
  cpu::rotate(mine, {3, 10, 4}, table);
  aten::rotate(theirs, {3, 10, 4}, table);
  expect_close(mine, theirs);
  EXPECT_TRUE(at::equal(mine.narrow(1, 30, 20), values));
}

TEST_P(Ops, GateEqualsAtenFromFarNegativeToFarPositive) {
  auto gate_up = random({3, 202});
  gate_up.narrow(1, 0, 101).mul_(40);
  auto mine = at::empty({3, 101}, GetParam()), theirs = mine.clone();
  cpu::gate(gate_up, mine);
  aten::gate(gate_up, theirs);
  expect_close(mine, theirs);
}

/// Softmax over an explicit mask, in float64.
at::Tensor textbook_attention(const at::Tensor& qkv, const AttentionShape& shape) {
  const int64_t length = shape.positions, width = shape.width;
  const auto heads = qkv.to(at::kDouble).view({-1, length, qkv.size(1) / width, width});
  const auto by_head = heads.transpose(1, 2);
  const int64_t group = shape.query_heads / shape.key_heads;
  const auto key =
      by_head.narrow(1, shape.query_heads, shape.key_heads).repeat_interleave(group, 1);
  const auto value = by_head.narrow(1, shape.query_heads + shape.key_heads, shape.key_heads)
                         .repeat_interleave(group, 1);
  auto scores = at::matmul(by_head.narrow(1, 0, shape.query_heads), key.transpose(2, 3)) /
                std::sqrt(static_cast<double>(width));
  const auto i = at::arange(length).unsqueeze(1), j = at::arange(length).unsqueeze(0);
  auto hidden = j.gt(i);
  if (shape.window > 0) hidden = hidden.logical_or(j.le(i - shape.window));
  scores.masked_fill_(hidden, -INFINITY);
  return at::matmul(at::softmax(scores, -1), value)
      .transpose(1, 2)
      .reshape({-1, shape.query_heads * width});
}

TEST_P(Ops, AttentionOfEachKernelEqualsSoftmaxOverAnExplicitMask) {
  // Lengths and widths below and above the kernels' rows, panels and blocks of keys.
  for (const auto& shape :
       {AttentionShape{23, 6, 2, 8, 0}, AttentionShape{23, 6, 2, 8, 5},
        AttentionShape{23, 6, 2, 8, 64}, AttentionShape{1, 6, 2, 20, 0},
        AttentionShape{1100, 2, 1, 70, 0}, AttentionShape{1100, 2, 1, 70, 600}}) {
    const int64_t rows = 2 * shape.positions, out_width = shape.query_heads * shape.width;
    const auto qkv = random({rows, out_width + 2 * shape.key_heads * shape.width});
    const std::vector<HeadRun> runs = {{0, shape.query_heads, 0, shape.key_heads}};
    const auto expected = textbook_attention(qkv, shape);
    auto out = at::empty({rows, out_width}, GetParam());
    aten::attend(qkv, shape, runs, out);
    expect_close(out, expected);
    for (const auto* kernel : cpu::attention_kernels()) {
      out.zero_();
      cpu::attend(qkv, shape, runs, *kernel, out);
      expect_close(out, expected);
    }
  }
}

TEST(Attention, TakesScoresFarApartAndPassesNotANumberOn) {
  const AttentionShape shape{600, 1, 1, 16, 0};
  auto qkv = at::randn({600, 48});
  qkv.narrow(1, 0, 32).mul_(40);  // scores in the thousands
  auto out = at::empty({600, 16});
  for (const auto* kernel : cpu::attention_kernels()) {
    cpu::attend(qkv, shape, {{0, 1, 0, 1}}, *kernel, out);
    EXPECT_LT((out - textbook_attention(qkv, shape)).abs().max().item<double>(), 1e-3);
  }
  qkv[300][20] = std::nanf("");
  for (const auto* kernel : cpu::attention_kernels()) {
    cpu::attend(qkv, shape, {{0, 1, 0, 1}}, *kernel, out);
    const auto is_nan = out.isnan().any(1);
    EXPECT_FALSE(is_nan.narrow(0, 0, 300).any().item<bool>());
    EXPECT_TRUE(is_nan.narrow(0, 300, 300).all().item<bool>());
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, Ops, testing::Values(at::kFloat, at::kBFloat16, at::kHalf));

}  // namespace
}  // namespace actsweep
