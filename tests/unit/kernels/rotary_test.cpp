// Frequencies against the published formulas, with eight channels and theta 10,000: the pairs turn
// by 1, 0.1, 0.01 and 0.001 per position.
#include "kernels/rotary.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace actsweep {
namespace {

constexpr double kPi = std::numbers::pi;

Rope rope_of(RopeScaling scaling, double factor = 1, double original_length = 0) {
  Rope rope;
  rope.width = 8;
  rope.scaling = scaling;
  rope.factor = factor;
  rope.original_length = original_length;
  return rope;
}

void expect_frequencies(const Rope& rope, int64_t length, const std::vector<double>& expected) {
  const auto found = rotary_frequencies(rope, length);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i], expected[i], 1e-12 * expected[i]) << "pair " << i;
  }
}

TEST(RotaryFrequencies, FallGeometricallyFromOne) {
  expect_frequencies(rope_of(RopeScaling::kNone), 5000, {1, 0.1, 0.01, 0.001});
}

TEST(RotaryFrequencies, LinearDividesAllByTheFactor) {
  expect_frequencies(rope_of(RopeScaling::kLinear, 4), 10, {0.25, 0.025, 0.0025, 0.00025});
}

TEST(RotaryFrequencies, ProportionalTurnsTheFirstPairsAsIfAllTurned) {
  auto rope = rope_of(RopeScaling::kProportional, 4);
  rope.turned_pairs = 2;
  expect_frequencies(rope, 10, {0.25, 0.025, 0, 0});
}

TEST(RotaryFrequencies, Llama3KeepsShortWavesDividesLongOnesAndBlendsBetween) {
  // Wavelengths 6, 63, 628 and 6283 against borders of 1000 / 4 and 1000 / 1.
  const double smooth = (1000 * 0.01 / (2 * kPi) - 1) / (4 - 1);
  expect_frequencies(rope_of(RopeScaling::kLlama3, 8, 1000), 10,
                     {1, 0.1, (1 - smooth) * 0.01 / 8 + smooth * 0.01, 0.001 / 8});
}

TEST(RotaryFrequencies, DynamicRaisesTheBaseBeyondTheOriginalLengthAlone) {
  const auto rope = rope_of(RopeScaling::kDynamic, 2, 100);
  for (const int64_t length : {60, 100}) {
    expect_frequencies(rope, length, {1, 0.1, 0.01, 0.001});
  }
  const double base = 10000 * std::pow(2 * 300.0 / 100 - (2 - 1), 8.0 / 6);
  expect_frequencies(rope, 300,
                     {1, std::pow(base, -0.25), std::pow(base, -0.5), std::pow(base, -0.75)});
}

/// The pair that turns `turns` times over 1000 positions.
double pair_of(double turns) {
  return 8 * std::log(1000 / (2 * kPi * turns)) / (2 * std::log(1e4));
}

TEST(RotaryFrequencies, YarnBlendsBetweenWholePairs) {
  ASSERT_EQ(std::floor(pair_of(32)), 0);
  ASSERT_EQ(std::ceil(pair_of(1)), 3);
  expect_frequencies(rope_of(RopeScaling::kYarn, 4, 1000), 10,
                     {1, 0.1 * (2.0 / 3 + 1.0 / 3 / 4), 0.01 * (1.0 / 3 + 2.0 / 3 / 4), 0.001 / 4});
}

TEST(RotaryFrequencies, YarnWithoutRoundingBlendsBetweenThePairsThemselves) {
  auto rope = rope_of(RopeScaling::kYarn, 4, 1000);
  rope.rounds_range = false;
  const double low = pair_of(32), high = pair_of(1);
  const double one = (1 - low) / (high - low), two = (2 - low) / (high - low);
  ASSERT_TRUE(0 < one && one < two && two < 1);
  expect_frequencies(rope, 10,
                     {1, 0.1 * (1 - one + one / 4), 0.01 * (1 - two + two / 4), 0.001 / 4});
}

TEST(RotaryFrequencies, LongRopeDividesByTheListOfTheLength) {
  auto rope = rope_of(RopeScaling::kLongRope, 1, 32);
  rope.short_divisors = {1, 2, 4, 5};
  rope.long_divisors = {2, 4, 8, 10};
  expect_frequencies(rope, 32, {1, 0.05, 0.0025, 0.0002});
  expect_frequencies(rope, 33, {0.5, 0.025, 0.00125, 0.0001});
}

RotaryTables tables_of(const std::vector<Rope>& ropes, int64_t positions) {
  Architecture a;
  a.ropes = ropes;
  return {a, positions, at::kCPU};
}

TEST(RotaryTables, HoldCosinesAndSinesTimesTheAttentionFactor) {
  auto rope = rope_of(RopeScaling::kNone);
  rope.attention_factor = 1.5;
  rope.is_interleaved = true;
  auto tables = tables_of({rope}, 40);
  const auto& table = tables.table(0, 40);
  EXPECT_TRUE(table.is_interleaved);
  ASSERT_EQ(table.cos.sizes(), at::IntArrayRef({40, 4}));
  for (const int64_t position : {0, 1, 39}) {
    for (const int64_t pair : {0, 1, 3}) {
      const double angle = static_cast<double>(position) * std::pow(10, -static_cast<double>(pair));
      EXPECT_NEAR(table.cos[position][pair].item<float>(), 1.5 * std::cos(angle), 1e-5);
      EXPECT_NEAR(table.sin[position][pair].item<float>(), 1.5 * std::sin(angle), 1e-5);
    }
  }
}

/// Coordinates and periods of DINOv3 (arXiv 2508.10104): centres of patches from -1 to 1, of each
/// axis D / 4 periods from 1 up to the base.
TEST(RotaryTables, TurnAPatchByItsRowAndColumnAndNoOtherToken) {
  Rope rope;
  rope.is_of_patches = true;
  rope.width = 12;
  rope.theta = 100;
  Architecture a;
  a.ropes = {rope};
  RotaryTables tables(a, 2 + 4 * 5, at::kCPU, {.first = 2, .rows = 4, .columns = 5});
  const auto& table = tables.table(0, 22);
  ASSERT_EQ(table.cos.sizes(), at::IntArrayRef({22, 6}));
  EXPECT_TRUE(table.cos.narrow(0, 0, 2).eq(1).all().item<bool>());
  EXPECT_TRUE(table.sin.narrow(0, 0, 2).eq(0).all().item<bool>());
  const double centres_of_rows[] = {-0.75, -0.25, 0.25, 0.75};
  const double centres_of_columns[] = {-0.8, -0.4, 0, 0.4, 0.8};
  for (int64_t row = 0; row < 4; ++row) {
    for (int64_t column = 0; column < 5; ++column) {
      for (int64_t period = 0; period < 3; ++period) {
        const double turns = std::pow(100, -static_cast<double>(period) / 3);
        const int64_t token = 2 + 5 * row + column;
        for (const auto& [pair, centre] : {std::pair(period, centres_of_rows[row]),
                                           std::pair(period + 3, centres_of_columns[column])}) {
          const double angle = 2 * kPi * centre * turns;
          EXPECT_NEAR(table.cos[token][pair].item<float>(), std::cos(angle), 2e-6);
          EXPECT_NEAR(table.sin[token][pair].item<float>(), std::sin(angle), 2e-6);
        }
      }
    }
  }
}

/// Whether sequences of two lengths use one table; where they do not, whether it holds the same.
enum class Sharing { kShared, kEqual, kDifferent };

Sharing sharing(RotaryTables& tables, int rope, int64_t one, int64_t other) {
  const auto& a = tables.table(rope, one).cos;
  const auto& b = tables.table(rope, other).cos;
  if (a.is_same(b)) return Sharing::kShared;
  return at::equal(a, b) ? Sharing::kEqual : Sharing::kDifferent;
}

TEST(RotaryTables, AreSharedWithinALengthClassAndDifferBeyondIt) {
  auto longrope = rope_of(RopeScaling::kLongRope, 1, 32);
  longrope.short_divisors = {1, 2, 4, 5};
  longrope.long_divisors = {2, 4, 8, 10};
  auto tables = tables_of({rope_of(RopeScaling::kDynamic, 2, 32), longrope,
                           rope_of(RopeScaling::kLinear, 4), rope_of(RopeScaling::kYarn, 4, 32)},
                          96);
  EXPECT_EQ(sharing(tables, 0, 5, 32), Sharing::kShared);
  EXPECT_EQ(sharing(tables, 0, 32, 33), Sharing::kDifferent);
  EXPECT_EQ(sharing(tables, 0, 33, 34), Sharing::kDifferent);
  EXPECT_EQ(sharing(tables, 1, 5, 32), Sharing::kShared);
  EXPECT_EQ(sharing(tables, 1, 32, 33), Sharing::kDifferent);
  EXPECT_EQ(sharing(tables, 1, 33, 96), Sharing::kShared);
  EXPECT_EQ(sharing(tables, 2, 5, 96), Sharing::kShared);
  EXPECT_EQ(sharing(tables, 3, 5, 96), Sharing::kShared);
  EXPECT_FALSE(tables.table(2, 5).cos.is_same(tables.table(3, 5).cos));
}

}  // namespace
}  // namespace actsweep
