// The CPU kernels against ATen's operators, which are what runs on a GPU.
#include "model/ops.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace actsweep {
namespace {

constexpr Activation kActivations[] = {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh,
                                       Activation::kRelu};

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

/// RMSNorm, RMSNorm with weights less 1, LayerNorm with and without a bias.
std::vector<Norm> norms(int64_t width) {
  const auto weight = at::randn({width}), bias = at::randn({width});
  return {{NormKind::kRms, weight, {}, 1e-5, 0},
          {NormKind::kRms, weight, {}, 1e-5, 1},
          {NormKind::kLayer, weight, {}, 1e-5, 0},
          {NormKind::kLayer, weight, bias, 1e-5, 0}};
}

TEST_P(Ops, NormEqualsAten) {
  const auto residual = at::randn({5, 77}) * 30 + 10;
  for (const auto& norm : norms(77)) {
    auto mine = at::empty({5, 77}, GetParam()), theirs = mine.clone();
    cpu::normalise(residual, norm, mine);
    aten::normalise(residual, norm, theirs);
    expect_close(mine, theirs);
  }
}

TEST_P(Ops, NormIsWhatPytorchComputes) {
  const auto residual = at::randn({5, 77}) * 30 + 10;
  const auto all = norms(77);
  auto out = at::empty({5, 77}, GetParam());
  cpu::normalise(residual, all[0], out);
  expect_close(out, at::rms_norm(residual, {77}, all[0].weight, 1e-5));
  cpu::normalise(residual, all[3], out);
  expect_close(out, at::layer_norm(residual, {77}, all[3].weight, all[3].bias, 1e-5));
}

TEST_P(Ops, NormInPlaceEqualsNormApart) {
  auto residual = at::randn({5, 77});
  const auto norm = norms(77)[3];
  auto apart = at::empty({5, 77});
  cpu::normalise(residual, norm, apart);
  cpu::normalise(residual, norm, residual);
  EXPECT_TRUE(at::equal(residual, apart));
}

TEST_P(Ops, AddAndNormEqualsAtenInBothOutputs) {
  for (const auto& norm : norms(33)) {
    auto residual = at::randn({6, 33}), same = residual.clone();
    const auto partial = random({6, 33});
    auto mine = at::empty({6, 33}, GetParam()), theirs = mine.clone();
    cpu::add_and_normalise(residual, partial, norm, mine);
    aten::add_and_normalise(same, partial, norm, theirs);
    EXPECT_TRUE(at::equal(residual, same));
    expect_close(mine, theirs);
  }
}

TEST_P(Ops, AddingANormedRowEqualsAten) {
  for (const auto& norm : norms(33)) {
    auto mine = at::randn({6, 33}), theirs = mine.clone();
    const auto partial = random({6, 33});
    cpu::add_normalised(mine, partial, norm);
    aten::add_normalised(theirs, partial, norm);
    expect_close(mine, theirs);
  }
}

TEST_P(Ops, NormsOfHeadsEqualAtenAndKeepOtherHeads) {
  for (int64_t weights : {1, 3}) {  // for all heads, or for each
    for (auto norm : norms(10 * weights)) {
      auto mine = random({4, 60}), theirs = mine.clone();
      const auto before = mine.clone();
      cpu::normalise_heads(mine, {2, 3, 10}, norm);
      aten::normalise_heads(theirs, {2, 3, 10}, norm);
      expect_close(mine, theirs);
      EXPECT_TRUE(at::equal(mine.narrow(1, 0, 20), before.narrow(1, 0, 20)));
      EXPECT_TRUE(at::equal(mine.narrow(1, 50, 10), before.narrow(1, 50, 10)));
      EXPECT_FALSE(at::allclose(mine.narrow(1, 20, 30), before.narrow(1, 20, 30)));
    }
  }
}

TEST_P(Ops, RotationEqualsAtenAndKeepsWhatItDoesNotRotate) {
  for (const bool is_interleaved : {false, true}) {
    for (const int64_t rotated : {6, 10}) {
      Architecture a;
      a.ropes = {{.width = rotated, .is_interleaved = is_interleaved}};
      RotaryTables tables(a, 4, at::kCPU);
      auto mine = random({8, 50}), theirs = mine.clone();
      const auto before = mine.clone();
      cpu::rotate(mine, {3, 10, 4}, tables.table(0, 4));
      aten::rotate(theirs, {3, 10, 4}, tables.table(0, 4));
      expect_close(mine, theirs);
      EXPECT_TRUE(at::equal(mine.narrow(1, 30, 20), before.narrow(1, 30, 20)));
      EXPECT_TRUE(at::equal(mine.narrow(1, rotated, 10 - rotated),
                            before.narrow(1, rotated, 10 - rotated)));
      EXPECT_FALSE(at::allclose(mine[1], before[1]));
    }
  }
}

TEST_P(Ops, ActivationsEqualAtenFromFarNegativeToFarPositive) {
  auto gate_up = random({3, 202});
  gate_up.narrow(1, 0, 101).mul_(40);
  gate_up[0].narrow(0, 0, 101).copy_(at::linspace(-6, 6, 101));
  for (const auto activation : kActivations) {
    auto mine = at::empty({3, 101}, GetParam()), theirs = mine.clone();
    cpu::gate(gate_up, activation, mine);
    aten::gate(gate_up, activation, theirs);
    expect_close(mine, theirs);
    mine = gate_up.clone(), theirs = gate_up.clone();
    cpu::activate(mine, activation);
    aten::activate(theirs, activation);
    expect_close(mine, theirs);
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, Ops, testing::Values(at::kFloat, at::kBFloat16, at::kHalf));

}  // namespace
}  // namespace actsweep
