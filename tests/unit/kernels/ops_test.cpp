// The table of a device against ATen's operators. Built once for the CPU's and once for CUDA's.
#include "kernels/ops.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "device.h"

namespace actsweep {
namespace {

at::Tensor normal(at::IntArrayRef shape) { return at::randn(shape).to(test_device()); }

/// [n, C] of a dtype on the device, to be filled.
at::Tensor room(at::IntArrayRef shape, at::ScalarType type) {
  return at::empty(shape, at::TensorOptions(test_device()).dtype(type));
}

/// Another device than a CPU's has no table of the CPU's.
TEST(RowOps, EachDeviceHasItsTable) {
  EXPECT_EQ(&row_ops_of(at::kCPU), &kCpuRowOps);
  EXPECT_NE(&row_ops_of(at::Device(at::kCUDA, 0)), &kCpuRowOps);
}

constexpr Activation kActivations[] = {Activation::kSilu,      Activation::kGelu,
                                       Activation::kGeluTanh,  Activation::kRelu,
                                       Activation::kQuickGelu, Activation::kSquaredRelu};

class Ops : public testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override { at::manual_seed(7); }
  at::Tensor random(at::IntArrayRef shape) const { return normal(shape).to(GetParam()); }
  double tolerance() const { return GetParam() == at::kFloat ? 1e-5 : 1e-2; }
  void expect_close(const at::Tensor& mine, const at::Tensor& theirs) const {
    EXPECT_TRUE(at::allclose(mine.to(at::kFloat), theirs.to(at::kFloat), tolerance(), tolerance()))
        << (mine.to(at::kFloat) - theirs.to(at::kFloat)).abs().max().item<float>();
  }

  const RowOps& mine_ = row_ops_of(test_device());
  const RowOps& aten_ = kAtenRowOps;
};

/// RMSNorm, RMSNorm with weights less 1, LayerNorm with and without a bias.
std::vector<Norm> norms(int64_t width) {
  const auto weight = normal({width}), bias = normal({width});
  return {{NormKind::kRms, weight, {}, 1e-5, 0},
          {NormKind::kRms, weight, {}, 1e-5, 1},
          {NormKind::kLayer, weight, {}, 1e-5, 0},
          {NormKind::kLayer, weight, bias, 1e-5, 0}};
}

TEST_P(Ops, NormEqualsAten) {
  for (const int64_t width : {77, 128, 1028, 1031}) {  // kernels take some widths by packs
    const auto residual = normal({5, width}) * 30 + 10;
    for (const auto& norm : norms(width)) {
      auto mine = room({5, width}, GetParam()), theirs = mine.clone();
      mine_.normalise(residual, norm, mine);
      aten_.normalise(residual, norm, theirs);
      expect_close(mine, theirs);
    }
  }
}

TEST_P(Ops, NormIsWhatPytorchComputes) {
  const auto residual = normal({5, 77}) * 30 + 10;
  const auto all = norms(77);
  auto out = room({5, 77}, GetParam());
  mine_.normalise(residual, all[0], out);
  expect_close(out, at::rms_norm(residual, {77}, all[0].weight, 1e-5));
  mine_.normalise(residual, all[3], out);
  expect_close(out, at::layer_norm(residual, {77}, all[3].weight, all[3].bias, 1e-5));
}

TEST_P(Ops, NormInPlaceEqualsNormApart) {
  auto residual = normal({5, 77});
  const auto norm = norms(77)[3];
  auto apart = room({5, 77}, at::kFloat);
  mine_.normalise(residual, norm, apart);
  mine_.normalise(residual, norm, residual);
  EXPECT_TRUE(at::equal(residual, apart));
}

TEST_P(Ops, AddAndNormEqualsAtenInBothOutputs) {
  for (const int64_t width : {33, 1028}) {
    for (const auto& norm : norms(width)) {
      for (const auto type : {GetParam(), at::kFloat}) {  // a sum over ranks is float32
        auto residual = normal({6, width}), same = residual.clone();
        const auto partial = normal({6, width}).to(type);
        auto mine = room({6, width}, GetParam()), theirs = mine.clone();
        mine_.add_and_normalise(residual, partial, norm, mine);
        aten_.add_and_normalise(same, partial, norm, theirs);
        EXPECT_TRUE(at::equal(residual, same));
        expect_close(mine, theirs);
      }
    }
  }
}

TEST_P(Ops, AddingARowEqualsAten) {
  for (const int64_t width : {33, 1028}) {
    auto mine = normal({6, width}), theirs = mine.clone();
    const auto partial = random({6, width});
    mine_.add_rows(mine, partial);
    aten_.add_rows(theirs, partial);
    EXPECT_TRUE(at::equal(mine, theirs));
  }
}

TEST_P(Ops, AddingANormedRowEqualsAten) {
  for (const auto& norm : norms(33)) {
    auto mine = normal({6, 33}), theirs = mine.clone();
    const auto partial = random({6, 33});
    mine_.add_normalised(mine, partial, norm);
    aten_.add_normalised(theirs, partial, norm);
    expect_close(mine, theirs);
  }
}

TEST_P(Ops, NormsOfHeadsEqualAtenAndKeepOtherHeads) {
  for (int64_t weights : {1, 3}) {  // for all heads, or for each
    for (auto norm : norms(10 * weights)) {
      auto mine = random({4, 60}), theirs = mine.clone();
      const auto before = mine.clone();
      mine_.normalise_heads(mine, {2, 3, 10}, norm);
      aten_.normalise_heads(theirs, {2, 3, 10}, norm);
      expect_close(mine, theirs);
      EXPECT_TRUE(at::equal(mine.narrow(1, 0, 20), before.narrow(1, 0, 20)));
      EXPECT_TRUE(at::equal(mine.narrow(1, 50, 10), before.narrow(1, 50, 10)));
      EXPECT_FALSE(at::allclose(mine.narrow(1, 20, 30), before.narrow(1, 20, 30)));
    }
  }
}

TEST_P(Ops, RotationEqualsAtenAndKeepsWhatItDoesNotRotate) {
  for (const bool is_interleaved : {false, true}) {
    for (const auto& [width, rotated] :
         {std::pair<int64_t, int64_t>{10, 6}, {10, 10}, {11, 6}, {16, 8}, {16, 16}}) {
      Architecture a;
      a.ropes = {{.width = rotated, .is_interleaved = is_interleaved}};
      RotaryTables tables(a, 4, test_device());
      auto mine = random({8, 5 * width}), theirs = mine.clone();
      const auto before = mine.clone();
      mine_.rotate(mine, {3, width, 4}, tables.table(0, 4));
      aten_.rotate(theirs, {3, width, 4}, tables.table(0, 4));
      expect_close(mine, theirs);
      EXPECT_TRUE(
          at::equal(mine.narrow(1, 3 * width, 2 * width), before.narrow(1, 3 * width, 2 * width)));
      EXPECT_TRUE(at::equal(mine.narrow(1, rotated, width - rotated),
                            before.narrow(1, rotated, width - rotated)));
      EXPECT_FALSE(at::allclose(mine[1], before[1]));
    }
  }
}

TEST_P(Ops, ActivationsEqualAtenFromFarNegativeToFarPositive) {
  for (const int64_t width : {101, 104}) {
    auto gate_up = random({3, 2 * width});
    gate_up.narrow(1, 0, width).mul_(40);
    gate_up[0].narrow(0, 0, width).copy_(at::linspace(-6, 6, width).to(test_device()));
    for (const auto activation : kActivations) {
      auto mine = room({3, width}, GetParam()), theirs = mine.clone();
      mine_.gate(gate_up, activation, mine);
      aten_.gate(gate_up, activation, theirs);
      expect_close(mine, theirs);
      mine = gate_up.clone(), theirs = gate_up.clone();
      mine_.activate(mine, activation);
      aten_.activate(theirs, activation);
      expect_close(mine, theirs);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, Ops, testing::Values(at::kFloat, at::kBFloat16, at::kHalf));

}  // namespace
}  // namespace actsweep
