#include "kernels/attention_packing.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace actsweep::cpu {
namespace {

constexpr uint32_t kUntouched = 0xabcdabcd;

std::vector<uint32_t> random_words(int64_t count) {
  std::mt19937 random(1);
  std::vector<uint32_t> words(count);
  for (auto& word : words) word = random() % 0x7f000000;  // as float32 finite
  return words;
}

TEST(AttentionPacking, WordsOfAnyShapeAreTransposed) {
  for (const int64_t width : {1, 2, 15, 16, 17, 32, 40, 64}) {
    for (const int64_t lanes : {6, 12, 16, 32}) {
      for (const int64_t count : {int64_t{1}, lanes / 2, lanes - 1, lanes}) {
        const int64_t stride = width + 5;
        const auto words = random_words(count * stride);
        std::vector<uint32_t> expected(width * lanes + 16, kUntouched);
        for (int64_t i = 0; i < width * lanes; ++i) {
          const int64_t row = i % lanes;
          expected[i] = row < count ? words[row * stride + i / lanes] : 0;
        }
        std::vector<uint32_t> found(expected.size(), kUntouched);
        pack_transposed(HeadRows<const uint32_t>{words.data(), stride, count, width}, lanes,
                        found.data());
        EXPECT_EQ(found, expected) << width << " " << lanes << " " << count;
      }
    }
  }
}

TEST(AttentionPacking, HalfRowsAreWidenedWhereTheyAreTransposed) {
  constexpr int64_t kCount = 11, kWidth = 33, kLanes = 32;
  std::vector<at::BFloat16> values;
  for (int64_t i = 0; i < kCount * kWidth; ++i) values.emplace_back(static_cast<float>(i));
  std::vector<float> found(kWidth * kLanes, -1);
  pack_transposed(HeadRows<const at::BFloat16>{values.data(), kWidth, kCount, kWidth}, kLanes,
                  found.data());
  for (int64_t i = 0; i < kWidth * kLanes; ++i) {
    const int64_t row = i % kLanes;
    const float expected = row < kCount ? static_cast<float>(values[row * kWidth + i / kLanes]) : 0;
    EXPECT_EQ(found[i], expected);
  }
}

}  // namespace
}  // namespace actsweep::cpu
