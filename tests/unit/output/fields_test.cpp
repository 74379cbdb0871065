#include "output/fields.h"

#include <gtest/gtest.h>

#include <cmath>

namespace actsweep {
namespace {

template <typename T>
std::vector<T> combined(ElementType type, Merge merge, std::vector<T> into, std::vector<T> from) {
  const Dataset dataset{"x", type, {Axis::kLayer}, "1", "", merge};
  combine(dataset, std::as_writable_bytes(std::span(into)), std::as_bytes(std::span(from)));
  return into;
}

TEST(Fields, CombineByTheirRuleInTheirType) {
  const int64_t large = (int64_t{1} << 53) + 1;  // beyond the whole numbers of a double
  EXPECT_EQ(combined<int64_t>(ElementType::kInt64, Merge::kSum, {large, -1}, {2, 1}),
            (std::vector<int64_t>{large + 2, 0}));
  EXPECT_EQ(combined<double>(ElementType::kFloat64, Merge::kSum, {0.5, 1}, {0.25, -1}),
            (std::vector<double>{0.75, 0}));
  EXPECT_EQ(combined<float>(ElementType::kFloat32, Merge::kMax, {1, -5}, {2, -7}),
            (std::vector<float>{2, -5}));
  EXPECT_EQ(combined<uint32_t>(ElementType::kUInt32, Merge::kMin, {1, 9}, {2, 7}),
            (std::vector<uint32_t>{1, 7}));
}

std::vector<std::byte> bytes_of_all(const auto& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

TEST(Fields, WhatGoesWithAMaximumIsThatOfTheFirstPartThatHasIt) {
  Dataset place{"place", ElementType::kInt64, {Axis::kLayer}, "1", "", Merge::kOfMax};
  place.maximum = "most";
  // Before its maximum in the list, and so in any order.
  const std::vector<Dataset> datasets = {
      place, {"most", ElementType::kFloat32, {Axis::kLayer}, "1", "", Merge::kMax}};
  const auto part = [](std::vector<float> most, std::vector<int64_t> at) {
    return std::map<std::string, std::vector<std::byte>>{{"most", bytes_of_all(most)},
                                                         {"place", bytes_of_all(at)}};
  };
  auto merged = part({1, -5, 3, -INFINITY}, {10, 11, 12, -1});
  combine_all(datasets, merged, part({2, -7, 3, -INFINITY}, {20, 21, 22, -1}));
  combine_all(datasets, merged, part({0, -4, 3, 1}, {30, 31, 32, 33}));
  EXPECT_EQ(merged, part({2, -4, 3, 1}, {20, 31, 12, 33}));
}

TEST(Fields, NumbersOfALaterPartCountOnWhereTheyNameSomething) {
  Dataset token{"token", ElementType::kInt64, {Axis::kLayer}, "1", "", Merge::kOfMax};
  std::vector<PartLengths> lengths(3);
  lengths[0].counts.tokens = 100;
  lengths[1].counts.tokens = 20;
  const auto shifted = [&](size_t part) {
    std::vector<int64_t> numbers = {0, -1, 7};
    add_offset(token, lengths, part, std::as_writable_bytes(std::span(numbers)));
    return numbers;
  };
  EXPECT_EQ(shifted(2), (std::vector<int64_t>{0, -1, 7}));  // a number of something else
  token.index_of = Axis::kToken;
  EXPECT_EQ(shifted(0), (std::vector<int64_t>{0, -1, 7}));
  EXPECT_EQ(shifted(2), (std::vector<int64_t>{120, -1, 127}));
}

TEST(Fields, RowsAndOtherSizesAreMistakes) {
  EXPECT_THROW(combined<float>(ElementType::kFloat32, Merge::kRows, {1}, {2}), std::logic_error);
  EXPECT_THROW(combined<float>(ElementType::kFloat32, Merge::kSum, {1}, {2, 3}), std::logic_error);
}

}  // namespace
}  // namespace actsweep
