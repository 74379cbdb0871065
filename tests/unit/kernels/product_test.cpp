// Products with weights against float64 sums rounded once, where a machine has instructions for the
// dtype and by way of float32.
#include "kernels/product.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/product_instructions.h"
#include "kernels/product_widened.h"

namespace actsweep {
namespace {

struct Shape {
  int64_t n, k, width;
};

/// One piece; several of rows, the last one of one row; several of columns and of k, not all alike;
/// several of rows and columns.
constexpr Shape kShapes[] = {{7, 24, 13}, {1025, 40, 9}, {30, 4200, 1027}, {515, 1300, 1621}};

struct Operands {
  at::Tensor in, weight, bias, before;

  Operands(const Shape& shape, at::ScalarType dtype) {
    at::manual_seed(3);
    const double scale = 1 / std::sqrt(static_cast<double>(shape.k));
    in = at::randn({shape.n, shape.k}).to(dtype);
    weight = (at::randn({shape.width, shape.k}) * scale).to(dtype);
    bias = at::randn({shape.width}).to(dtype);
    before = at::randn({shape.n, shape.width}).to(dtype);
  }

  /// The float64 sum with an addend.
  at::Tensor exact(const at::Tensor& addend) const {
    const auto product = at::mm(in.to(at::kDouble), weight.to(at::kDouble).t());
    return addend.defined() ? product + addend.to(at::kDouble) : product;
  }
};

/// Half a unit in the last place of the dtype, and the error of a float32 sum of k terms: the
/// roundings of its partial sums, which are about as large as 1 or the sum itself, in whatever
/// order a machine adds; four standard deviations of them.
void expect_rounded_once(const at::Tensor& found, const at::Tensor& exact, int64_t k) {
  const double half = found.scalar_type() == at::kBFloat16 ? 0x1p-8 : 0x1p-11;
  const double sum = 4 * 0x1p-24 * std::sqrt(static_cast<double>(k + 1));
  const auto error = (found.to(at::kDouble) - exact).abs();
  const auto bound = exact.abs() * half + (exact.abs() + 1) * sum;
  EXPECT_TRUE(error.le(bound).all().item<bool>())
      << at::toString(found.scalar_type()) << ": " << (error - bound).max().item<double>();
}

using Dtypes = testing::TestWithParam<at::ScalarType>;
INSTANTIATE_TEST_SUITE_P(Product, Dtypes, testing::Values(at::kBFloat16, at::kHalf),
                         [](const auto& dtype) { return at::toString(dtype.param); });

TEST_P(Dtypes, AWidenedProductIsASumRoundedOnce) {
  for (const auto& shape : kShapes) {
    const Operands x(shape, GetParam());
    for (const auto& addend : {at::Tensor(), x.bias, x.before}) {
      auto out = at::full({shape.n, shape.width}, NAN, x.in.options());
      project_widened(x.in, x.weight, addend, out);
      expect_rounded_once(out, x.exact(addend), shape.k);
    }
    auto out = x.before.clone();
    project_widened(x.in, x.weight, out, out);
    expect_rounded_once(out, x.exact(x.before), shape.k);
  }
}

/// ATen's own are sums in float32 as well: five of a thousand elements may be rounded otherwise.
TEST_P(Dtypes, AWidenedProductIsATensOwn) {
  for (const auto& shape : kShapes) {
    const Operands x(shape, GetParam());
    auto out = at::empty({shape.n, shape.width}, x.in.options());
    project_widened(x.in, x.weight, {}, out);
    const auto theirs = at::mm(x.in, x.weight.t());
    EXPECT_LE(out.ne(theirs).sum().item<int64_t>(), 1 + 5 * out.numel() / 1000)
        << shape.k << ", " << at::toString(GetParam());
  }
}

TEST_P(Dtypes, AProductIsASumRoundedOnceOnThisMachine) {
  for (const auto& shape : kShapes) {
    const Operands x(shape, GetParam());
    auto out = at::full({shape.n, shape.width}, NAN, x.in.options());
    project(x.in, x.weight, x.bias, out);
    expect_rounded_once(out, x.exact(x.bias), shape.k);
    project(x.in, x.weight, {}, out);
    expect_rounded_once(out, x.exact({}), shape.k);
    out.copy_(x.before);
    add_project(x.in, x.weight, out);
    expect_rounded_once(out, x.exact(x.before), shape.k);
  }
}

TEST_P(Dtypes, ARowOfAWidenedProductIsTheSameAmongOthers) {
  const Operands x(kShapes[3], GetParam());
  auto all = at::empty({515, 1621}, x.in.options()), some = at::empty({300, 1621}, all.options());
  project_widened(x.in, x.weight, x.bias, all);
  project_widened(x.in.narrow(0, 0, 300), x.weight, x.bias, some);
  EXPECT_TRUE(at::equal(all.narrow(0, 0, 300), some));
}

TEST(ProductInstructions, AreTheMachinesWithinTheLimitOfTheEnvironment) {
  const auto bits = [](bool bfloat16, bool float16, const char* limit) {
    const auto has = within_limit({bfloat16, float16}, limit);
    return std::pair(has.bfloat16, has.float16);
  };
  for (const auto* limit :
       {"", "ALL", "DEFAULT", "AVX512_CORE_FP16", "AVX512_CORE_AMX", "avx10_1_512"}) {
    EXPECT_EQ(bits(true, true, limit), std::pair(true, true)) << limit;
    EXPECT_EQ(bits(true, false, limit), std::pair(true, false)) << limit;
    EXPECT_EQ(bits(false, false, limit), std::pair(false, false)) << limit;
  }
  EXPECT_EQ(bits(true, true, "AVX512_CORE_BF16"), std::pair(true, false));
  EXPECT_EQ(bits(false, true, "avx512_core_bf16"), std::pair(false, false));
  for (const auto* limit : {"SSE41", "AVX", "AVX2", "avx2", "AVX2_VNNI", "AVX2_VNNI_2",
                            "AVX512_CORE", "AVX512_CORE_VNNI"}) {
    EXPECT_EQ(bits(true, true, limit), std::pair(false, false)) << limit;
  }
}

TEST(ProductInstructions, OfFloat32AndOfGpusAreNotAskedFor) {
  EXPECT_FALSE(widens_products(at::kFloat, at::kCPU));
  EXPECT_FALSE(widens_products(at::kHalf, at::Device(at::kCUDA, 0)));
}

}  // namespace
}  // namespace actsweep
