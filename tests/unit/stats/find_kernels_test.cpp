#include "stats/find_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "kernel_rows.h"

namespace actsweep::kernels {
namespace {

constexpr int64_t kLengths[] = {1, 2, 15, 16, 17, 63, 64, 65, 576, 601, 2048};

/// With a zero, an opposite and the largest magnitude.
std::vector<float> row_of(int64_t length, uint64_t seed) {
  auto row = random_row(length, seed);
  if (length > 8) {
    row[length / 2] = -row[0];
    row[length / 3] = 0;
    row[length / 4] = std::numeric_limits<float>::max();
  }
  return row;
}

std::vector<KeyBracket> brackets_for(const std::vector<float>& row) {
  const auto key = key_of(row[0]);
  const auto before = static_cast<int16_t>(key - 1), after = static_cast<int16_t>(key + 40);
  return {{before, key, 0}, {before, after, 0}, {-1, 0, 0}, {-1, kNonfiniteKey - 1, 0}, {5, 5, 0}};
}

/// What `find` writes of a row of `length`.
template <typename Find>
std::vector<uint32_t> found_by(int64_t length, Find find) {
  std::vector<uint32_t> found(length + kFoundMargin);
  found.resize(find(found.data()));
  return found;
}

TEST(FindKernels, MagnitudesAreThoseOfTheBracketInTheirOrder) {
  for (const int64_t length : kLengths) {
    const auto row = row_of(length, length);
    const auto key = keys_of(row);
    const KeyedRow keyed = {row, key};
    for (const auto& bracket : brackets_for(row)) {
      std::vector<uint32_t> expected;
      for (int64_t c = 0; c < length; ++c) {
        if (key[c] > bracket.low && key[c] <= bracket.high) expected.push_back(bits_of(row[c]));
      }
      using Out = uint32_t*;
      const auto in_any_way = {
          found_by(length, [&](Out out) { return find_magnitudes(row, bracket, out); }),
          found_by(length, [&](Out out) { return find_magnitudes(keyed, bracket, out); }),
          found_by(length, [&](Out out) { return by_marks::find_magnitudes(row, bracket, out); }),
          found_by(length, [&](Out out) { return by_marks::find_magnitudes(keyed, bracket, out); }),
      };
      for (const auto& found : in_any_way) EXPECT_EQ(found, expected) << length;
    }
  }
}

TEST(FindKernels, ChannelsAreThoseThatReachTheKeyInRisingOrder) {
  for (const int64_t length : kLengths) {
    const auto row = row_of(length, 100 + length);
    const auto key = keys_of(row);
    for (const int16_t at_least : {0, 0x3f80, 0x4080, 0x7f7f}) {
      std::vector<uint32_t> expected;
      for (int64_t c = 0; c < length; ++c) {
        if (key[c] >= at_least) expected.push_back(static_cast<uint32_t>(c));
      }
      for (const auto find : {find_channels, by_marks::find_channels}) {
        EXPECT_EQ(found_by(length,
                           [&](uint32_t* out) {
                             return find({row, key}, at_least, out);
                           }),
                  expected)
            << length;
      }
    }
  }
}

TEST(FindKernels, SelectedRanksAreThoseOfTheSortedBits) {
  for (const int64_t length : {1, 2, 3, 31, 32, 33, 64, 65, 200}) {
    const auto row = row_of(length, 200 + length);
    std::vector<uint32_t> bits;
    for (const float x : row) bits.push_back(bits_of(x));
    if (length > 8) std::fill_n(bits.begin(), length / 4, bits.back());  // ties
    auto sorted = bits;
    std::sort(sorted.begin(), sorted.end());
    for (int64_t rank = 0; rank < length; ++rank) {
      auto mine = bits;
      EXPECT_EQ(select_rank(mine, rank), sorted[rank]);
    }
  }
}

}  // namespace
}  // namespace actsweep::kernels
