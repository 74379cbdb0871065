#include "kernels/alibi.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace actsweep {
namespace {

std::vector<double> powers_of_two(const std::vector<double>& exponents) {
  std::vector<double> powers;
  for (const auto exponent : exponents) powers.push_back(std::exp2(exponent));
  return powers;
}

/// MPT's release: those of the next power of two, every second one first.
std::vector<double> published_by_mpt(int heads) {
  const int power = 1 << static_cast<int>(std::ceil(std::log2(heads)));
  std::vector<double> all, slopes;
  for (int i = 1; i <= power; ++i) all.push_back(1 / std::pow(2.0, i * 8.0 / power));
  if (power == heads) return all;
  for (int i = 1; i < power; i += 2) slopes.push_back(all[i]);
  for (int i = 0; i < power; i += 2) slopes.push_back(all[i]);
  slopes.resize(heads);
  return slopes;
}

/// Falcon's release: powers of a base for the power of two below, and odd powers of its root.
std::vector<double> published_by_falcon(int heads) {
  const int power = 1 << static_cast<int>(std::floor(std::log2(heads)));
  const double base = std::pow(2.0, -std::pow(2.0, -(std::log2(power) - 3)));
  std::vector<double> slopes;
  for (int i = 1; i <= power; ++i) slopes.push_back(std::pow(base, i));
  const double root = std::pow(2.0, -std::pow(2.0, -(std::log2(2 * power) - 3)));
  for (int i = 0; power + i < heads; ++i) slopes.push_back(std::pow(root, 2 * i + 1));
  return slopes;
}

void expect_near(const std::vector<double>& mine, const std::vector<double>& theirs) {
  ASSERT_EQ(mine.size(), theirs.size());
  for (size_t i = 0; i < mine.size(); ++i) EXPECT_NEAR(mine[i], theirs[i], 1e-12 * theirs[i]) << i;
}

TEST(AlibiSlopes, OfEightAndTwelveHeadsAreThoseOfThePaper) {
  expect_near(alibi_slopes(8), powers_of_two({-1, -2, -3, -4, -5, -6, -7, -8}));
  expect_near(alibi_slopes(12),
              powers_of_two({-1, -2, -3, -4, -5, -6, -7, -8, -0.5, -1.5, -2.5, -3.5}));
}

TEST(AlibiSlopes, OfAnyNumberOfHeadsAreThoseOfEachRelease) {
  for (int heads = 1; heads <= 40; ++heads) {
    SCOPED_TRACE(heads);
    expect_near(alibi_slopes(heads), published_by_mpt(heads));
    expect_near(alibi_slopes(heads), published_by_falcon(heads));
  }
}

Architecture with_alibi(Alibi kind) {
  Architecture a;
  a.heads = 12;
  a.alibi = kind;
  return a;
}

at::Tensor slopes_of(Share heads) {
  return at::tensor(published_by_mpt(12)).to(at::kFloat).slice(0, heads.begin, heads.end);
}

TEST(AlibiBias, OfMptIsSlopeTimesKeyForTheHeadsOfTheRank) {
  const Share heads = {3, 10};
  const auto bias = alibi_key_bias(with_alibi(Alibi::kPlain), heads, 50, 0.25);
  EXPECT_TRUE(at::allclose(bias, slopes_of(heads).unsqueeze(1) * at::arange(50), 1e-6, 0));
}

/// By ATen's promotion positions above 256 are rounded as well, as in transformers.
TEST(AlibiBias, OfFalconIsRoundedToBfloat16AndScaled) {
  const Share heads = {3, 10};
  const auto bias = alibi_key_bias(with_alibi(Alibi::kFalcon), heads, 300, 0.25);
  const auto published = slopes_of(heads).unsqueeze(1).to(at::kBFloat16) * at::arange(300);
  ASSERT_EQ(published.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::equal(bias, published.to(at::kFloat) * 0.25));
}

TEST(AlibiBias, IsUndefinedWithoutAlibi) {
  EXPECT_FALSE(alibi_key_bias(with_alibi(Alibi::kNone), {0, 12}, 50, 1).defined());
}

}  // namespace
}  // namespace actsweep
