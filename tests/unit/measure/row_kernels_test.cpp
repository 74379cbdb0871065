#include "measure/row_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernel_rows.h"

namespace actsweep::kernels {
namespace {

constexpr int64_t kLengths[] = {1, 2, 15, 16, 31, 32, 33, 63, 64, 65, 576, 601, 2048};

TEST(RowKernels, ScanFindsKeysExtremaAndSquares) {
  for (const int64_t length : kLengths) {
    const auto row = random_row(length, length);
    std::vector<int16_t> key(length);
    const KeyScan scan = scan_keys(row, key.data());
    const auto expected = keys_of(row);
    EXPECT_EQ(key, expected);
    EXPECT_EQ(scan.smallest, *std::min_element(expected.begin(), expected.end()));
    EXPECT_EQ(scan.largest, *std::max_element(expected.begin(), expected.end()));
    EXPECT_EQ(scan.sum, std::accumulate(expected.begin(), expected.end(), int64_t{0}));
    double sum_square = 0;
    for (const double x : row) sum_square += x * x;
    EXPECT_NEAR(scan.sum_square, sum_square, 1e-13 * sum_square);
    for (int64_t lane = 0; lane < kKeyLanes; ++lane) {
      int16_t largest = 0;
      for (int64_t c = lane; c < length; c += kKeyLanes) largest = std::max(largest, expected[c]);
      EXPECT_EQ(scan.lane_max[lane], largest);
    }
  }
}

TEST(RowKernels, ValuesThatAreNotFiniteHaveTheLargestKeys) {
  for (const float bad :
       {std::nanf(""), -std::nanf(""), HUGE_VALF, -HUGE_VALF, std::bit_cast<float>(0x7f800001u)}) {
    for (const int64_t length : kLengths) {
      auto row = random_row(length, 1);
      row[length - 1] = bad;
      std::vector<int16_t> key(length);
      EXPECT_GE(scan_keys(row, key.data()).largest, kNonfiniteKey);
    }
  }
  const std::vector<float> largest = {std::numeric_limits<float>::max()};
  int16_t key;
  EXPECT_LT(scan_keys(largest, &key).largest, kNonfiniteKey);
}

TEST(RowKernels, AsManyChannelsAsAskedForReachTheKey) {
  for (const int64_t length : kLengths) {
    const auto row = random_row(length, 3);
    std::vector<int16_t> key(length);
    const KeyScan scan = scan_keys(row, key.data());
    for (const int64_t count : {1, 2, 3, 10, 16, 17}) {
      const int16_t bound = key_reached_by(scan, std::min(count, length));
      const auto reaching =
          std::count_if(key.begin(), key.end(), [&](int16_t k) { return k >= bound; });
      EXPECT_GE(reaching, std::min(count, length));
      if (length >= 576 && count <= 3) {
        EXPECT_LE(reaching, 20);
      }
    }
  }
}

void expect_holds(const KeyBracket& bracket, std::vector<int16_t> sorted, int64_t rank) {
  std::sort(sorted.begin(), sorted.end());
  EXPECT_LT(bracket.low, sorted[rank]);
  EXPECT_GE(bracket.high, sorted[rank]);
  const auto up_to = [&](int16_t key) {
    return std::upper_bound(sorted.begin(), sorted.end(), key) - sorted.begin();
  };
  EXPECT_EQ(bracket.below, up_to(bracket.low));
  if (bracket.high - bracket.low > 1) {
    EXPECT_LE(up_to(bracket.high) - bracket.below, kFewValues);
  }
}

TEST(RowKernels, EveryRankIsBracketedFromAnyGuess) {
  for (const int64_t length : kLengths) {
    const auto key = keys_of(random_row(length, 2));
    auto sorted = key;
    std::sort(sorted.begin(), sorted.end());
    const int64_t step = std::max<int64_t>(1, length / 7);
    for (int64_t rank = 0; rank < length; rank += step) {
      for (const int guess : {0, 1, 0x3f80, 0x4040, 0x7f7f, int{sorted[rank]}, sorted[rank] + 6}) {
        expect_holds(bracket_rank(key, rank, static_cast<int16_t>(guess), 7), sorted, rank);
      }
    }
  }
}

TEST(RowKernels, ManyValuesOfOneKeyAreABracketOfThatKey) {
  std::vector<int16_t> key(576, 0x4040);
  std::fill_n(key.begin(), 100, int16_t{0});
  std::fill_n(key.end() - 100, 100, int16_t{0x7f7f});
  for (const int64_t rank : {0, 99, 100, 287, 475, 476, 575}) {
    for (const int16_t guess : {0, 0x403f, 0x4040, 0x4041, 0x7f7f}) {
      const KeyBracket bracket = bracket_rank(key, rank, guess, 7);
      expect_holds(bracket, key, rank);
      EXPECT_EQ(bracket.high - bracket.low, 1);
    }
  }
}

TEST(RowKernels, KeysAreCountedOnTopOfWhatIsThere) {
  for (const int64_t length : kLengths) {
    const auto key = keys_of(random_row(length, 5));
    std::vector<uint32_t> histogram(1 << 15, 1), expected(1 << 15, 1);
    for (const int16_t k : key) ++expected[k];
    count_keys(key, histogram.data());
    EXPECT_EQ(histogram, expected);
  }
}

TEST(RowKernels, MomentsOfAnyNumberOfRowsAgreeWithLoops) {
  for (const int64_t channels : kLengths) {
    for (const int64_t count : {0, 1, 2, 3, 4, 5, 8, 11}) {
      std::vector<std::vector<float>> rows;
      std::vector<const float*> pointers;
      for (int64_t r = 0; r < count; ++r) rows.push_back(random_row(channels, 10 + r));
      for (const auto& row : rows) pointers.push_back(row.data());
      std::vector<double> sum(channels, 1), square(channels, 2), fourth(channels, 3);
      std::vector<int32_t> max_bits(channels), above_6(channels, 4);
      add_moments(pointers, channels,
                  {sum.data(), square.data(), fourth.data(), max_bits.data(), above_6.data()});
      for (int64_t c = 0; c < channels; ++c) {
        double s = 1, s2 = 2, s4 = 3, largest = 0;
        int above = 4;
        for (const auto& row : rows) {
          const double x = row[c];
          s += x;
          s2 += x * x;
          s4 += x * x * x * x;
          largest = std::max(largest, std::fabs(x));
          above += std::fabs(x) >= 6;
        }
        ASSERT_NEAR(sum[c], s, 1e-13 * s2);
        ASSERT_NEAR(square[c], s2, 1e-13 * s2);
        ASSERT_NEAR(fourth[c], s4, 1e-13 * s4);
        ASSERT_EQ(std::bit_cast<float>(max_bits[c]), static_cast<float>(largest));
        ASSERT_EQ(above_6[c], above);
      }
    }
  }
}

}  // namespace
}  // namespace actsweep::kernels
