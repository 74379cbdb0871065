#include "run/next_tokens.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace actsweep {
namespace {

/// Windows of 3 and of 2 tokens, then a padding sequence.
OwnedRows two_windows() {
  OwnedRows own;
  own.padded_length = 4;
  own.padded_sequences = 3;
  own.windows = {{0, 0, 0, 3, false}, {1, 3, 3, 2, false}};
  own.token_id = {5, 6, 7, 0, 8, 9, 0, 0, 0, 0, 0, 0};
  return own;
}

std::vector<int64_t> ids_of(const NextTokens& next) {
  const auto ids = next.id.masked_fill(next.is_absent, -1);
  const auto* first = ids.const_data_ptr<int64_t>();
  return {first, first + ids.numel()};
}

TEST(NextTokens, AreThoseBehindInTheWindowAndOfNoLastTokenOrPadding) {
  const auto next = next_tokens(two_windows(), false);
  EXPECT_EQ(ids_of(next), (std::vector<int64_t>{6, 7, -1, -1, 9, -1, -1, -1, -1, -1, -1, -1}));
  EXPECT_TRUE(next.id.masked_select(next.is_absent).eq(0).all().item<bool>());
}

TEST(NextTokens, ASinkTokenPredictsNone) {
  EXPECT_EQ(ids_of(next_tokens(two_windows(), true)),
            (std::vector<int64_t>{-1, 7, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}));
}

}  // namespace
}  // namespace actsweep
