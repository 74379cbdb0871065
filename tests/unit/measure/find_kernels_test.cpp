#include "measure/find_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <span>
#include <utility>
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

std::vector<uint32_t> magnitudes_in(const std::vector<float>& row, const KeyBracket& bracket,
                                    const KeyBracket& other) {
  const auto holds = [](const KeyBracket& keys, int16_t key) {
    return key > keys.low && key <= keys.high;
  };
  std::vector<uint32_t> magnitudes;
  for (const float x : row) {
    if (holds(bracket, key_of(x)) || holds(other, key_of(x))) magnitudes.push_back(bits_of(x));
  }
  return magnitudes;
}

TEST(FindKernels, MagnitudesAreThoseOfTheBracketInTheirOrder) {
  for (const int64_t length : kLengths) {
    const auto row = row_of(length, length);
    std::vector<uint32_t> bits;
    for (const float x : row) bits.push_back(bits_of(x));
    for (const auto& bracket : brackets_for(row)) {
      const auto expected = magnitudes_in(row, bracket, bracket);
      const auto expect_found = [&](auto find, const auto& from) {
        std::vector<uint32_t> found(length + kFoundMargin);
        found.resize(find(std::span(from), bracket, found.data()));
        EXPECT_EQ(found, expected) << length;
      };
      const auto find = [](auto from, const KeyBracket& in, uint32_t* to) {
        return find_magnitudes(from, in, to);
      };
      const auto by_marks = [](auto from, const KeyBracket& in, uint32_t* to) {
        return by_marks::find_magnitudes(from, in, to);
      };
      expect_found(find, row);
      expect_found(by_marks, row);
      expect_found(find, std::as_const(bits));
      expect_found(by_marks, std::as_const(bits));
    }
  }
}

TEST(FindKernels, ARowIsSearchedForTwoBracketsAndTheTop) {
  for (const int64_t length : kLengths) {
    const auto row = row_of(length, 100 + length);
    const auto key = keys_of(row);
    const auto brackets = brackets_for(row);
    for (size_t i = 0; i < brackets.size(); ++i) {
      const KeyBracket& other = brackets[(i + 1) % brackets.size()];
      for (const int16_t top : {0, 0x3f80, 0x4080, 0x7f7f}) {
        std::vector<uint32_t> channels;
        for (int64_t c = 0; c < length; ++c) {
          if (key[c] >= top) channels.push_back(static_cast<uint32_t>(c));
        }
        for (const auto search : {search_row, by_marks::search_row}) {
          std::vector<uint32_t> near(length + kFoundMargin), at_top(near), histogram(1 << 15, 7);
          const FoundCounts found = search({row, key}, {{brackets[i], other}, top},
                                           {near.data(), at_top.data(), histogram.data()});
          near.resize(found.near);
          at_top.resize(found.top);
          EXPECT_EQ(near, magnitudes_in(row, brackets[i], other)) << length;
          EXPECT_EQ(at_top, channels) << length;
          for (const int16_t k : key) --histogram[k];
          EXPECT_EQ(histogram, std::vector<uint32_t>(1 << 15, 7)) << length;
        }
      }
    }
  }
}

TEST(FindKernels, SelectedRanksAreThoseOfTheSortedBits) {
  for (const int64_t length : {1, 2, 3, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 65, 200}) {
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
