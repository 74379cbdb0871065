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

TEST_P(Ops, AttentionEqualsSoftmaxOverAnExplicitMask) {
  for (int64_t window : {0, 5, 64}) {
    const AttentionShape shape{23, 6, 2, 8, window};
    const auto qkv = random({2 * 23, (6 + 4) * 8});
    auto mine = at::empty({2 * 23, 48}, GetParam()), theirs = mine.clone();
    attend(qkv, shape, {{0, 6, 0, 2}}, mine);
    attend_aten(qkv, shape, {{0, 6, 0, 2}}, theirs);
    const auto heads = qkv.to(at::kDouble).view({2, 23, 10, 8}).transpose(1, 2);
    const auto key = heads.narrow(1, 6, 2).repeat_interleave(3, 1);
    const auto value = heads.narrow(1, 8, 2).repeat_interleave(3, 1);
    auto scores = at::matmul(heads.narrow(1, 0, 6), key.transpose(2, 3)) / std::sqrt(8.0);
    const auto i = at::arange(23).unsqueeze(1), j = at::arange(23).unsqueeze(0);
    auto hidden = j.gt(i);
    if (window > 0) hidden = hidden.logical_or(j.le(i - window));
    scores.masked_fill_(hidden, -INFINITY);
    const auto expected =
        at::matmul(at::softmax(scores, -1), value).transpose(1, 2).reshape({46, 48});
    expect_close(mine, expected);
    expect_close(theirs, expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, Ops, testing::Values(at::kFloat, at::kBFloat16, at::kHalf));

}  // namespace
}  // namespace actsweep
