#include "kernels/bfloat16_rows.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

namespace actsweep {
namespace {

/// Around every bfloat16: the number, ties, and what lies beside them.
std::vector<float> numbers() {
  std::vector<float> all;
  for (uint32_t upper = 0; upper < 0x10000; ++upper) {
    for (const uint32_t lower : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      all.push_back(std::bit_cast<float>(upper << 16 | lower));
    }
  }
  return all;
}

TEST(Bfloat16Rows, RoundAsTorchRoundsANumberAlone) {
  const auto all = numbers();
  const auto rounded = to_bfloat16(at::tensor(all));
  const auto* found = rounded.const_data_ptr<at::BFloat16>();
  for (size_t i = 0; i < all.size(); ++i) {
    if (std::isnan(all[i])) {
      EXPECT_TRUE(std::isnan(static_cast<float>(found[i])));
    } else {
      ASSERT_EQ(found[i].x, at::BFloat16(all[i]).x) << std::bit_cast<uint32_t>(all[i]);
    }
  }
}

/// Vectorised or not: the same number has the same bits wherever it stands.
TEST(Bfloat16Rows, BitsDoNotDependOnThePlace) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto rounded = to_bfloat16(at::full({3, 37}, nan));
  const auto* found = rounded.const_data_ptr<at::BFloat16>();
  for (int64_t i = 0; i < rounded.numel(); ++i) EXPECT_EQ(found[i].x, 0x7fc0);
}

TEST(Bfloat16Rows, KeepTheShape) {
  EXPECT_EQ(to_bfloat16(at::zeros({4, 0, 3})).sizes(), (at::IntArrayRef{4, 0, 3}));
  EXPECT_THROW(to_bfloat16(at::zeros({4, 3}).t()), std::logic_error);
}

}  // namespace
}  // namespace actsweep
