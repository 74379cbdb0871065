#include "weights/share.h"

#include <gtest/gtest.h>

#include <set>

namespace actsweep {
namespace {

Architecture with_heads(int64_t heads, int64_t kv_heads) {
  Architecture a;
  a.heads = heads;
  a.kv_heads = kv_heads;
  a.head_width = 8;
  a.ffn_width = 37;
  a.vocabulary = 101;
  return a;
}

TEST(Share, RunsOfAnyGroupSizeCoverEachUnitOnce) {
  for (int64_t total : {1, 3, 9, 37, 101}) {
    for (int64_t parts = 1; parts <= 12; ++parts) {
      int64_t next = 0, least = total, most = 0;
      for (int64_t i = 0; i < parts; ++i) {
        const auto share = cut_evenly(total, parts, i);
        EXPECT_EQ(share.begin, next);
        next = share.end;
        least = std::min(least, share.size());
        most = std::max(most, share.size());
      }
      EXPECT_EQ(next, total);
      EXPECT_LE(most - least, 1);
    }
  }
}

TEST(Share, EachQueryHeadMeetsItsOwnKeyHead) {
  for (auto [heads, kv_heads] :
       {std::pair<int64_t, int64_t>{9, 3}, {7, 1}, {12, 4}, {5, 5}, {6, 2}}) {
    const auto a = with_heads(heads, kv_heads);
    const int64_t group = heads / kv_heads;
    for (int64_t parts = 1; parts <= heads + 2; ++parts) {
      std::set<int64_t> seen;
      for (int64_t part = 0; part < parts; ++part) {
        const auto share = share_of(a, parts, part);
        for (const auto& run : share.runs) {
          ASSERT_EQ(run.queries % run.keys, 0);
          for (int64_t q = 0; q < run.queries; ++q) {
            const int64_t query = share.query_heads.begin + run.query_begin + q;
            const int64_t key =
                share.key_heads.begin + run.key_begin + q / (run.queries / run.keys);
            EXPECT_EQ(key, query / group)
                << heads << "/" << kv_heads << " part " << part << " of " << parts;
            EXPECT_LT(key, share.key_heads.end);
            EXPECT_TRUE(seen.insert(query).second);
          }
        }
      }
      EXPECT_EQ(static_cast<int64_t>(seen.size()), heads);
    }
  }
}

TEST(Share, KeyHeadsOfOtherLayersAreThoseThatTheQueryHeadsReadThere) {
  auto a = with_heads(12, 4);
  a.other_heads = {3, 16, false, {true}};
  for (int64_t parts = 1; parts <= 14; ++parts) {
    for (int64_t part = 0; part < parts; ++part) {
      const auto found = share_of(a, parts, part).other_key_heads;
      const auto expected = share_of(a.with_other_heads(), parts, part).key_heads;
      EXPECT_EQ(found.begin, expected.begin);
      EXPECT_EQ(found.end, expected.end);
    }
  }
}

TEST(Share, ARankWithoutHeadsHasNoRuns) {
  const auto a = with_heads(2, 1);
  int64_t empty = 0;
  for (int64_t part = 0; part < 5; ++part) empty += share_of(a, 5, part).runs.empty();
  EXPECT_EQ(empty, 3);
}

TEST(Share, FirstHoldersCountEachKeyHeadOnce) {
  for (auto [heads, kv_heads] : {std::pair<int64_t, int64_t>{9, 3}, {7, 1}, {12, 4}, {5, 5}}) {
    const auto a = with_heads(heads, kv_heads);
    for (int64_t parts = 1; parts <= heads + 2; ++parts) {
      int64_t next = 0;
      for (int64_t part = 0; part < parts; ++part) {
        const auto share = share_of(a, parts, part);
        if (share.query_heads.size() == 0) continue;
        EXPECT_EQ(share.key_heads.begin + (share.repeats_first_key ? 1 : 0), next);
        next = share.key_heads.end;
      }
      EXPECT_EQ(next, kv_heads);
    }
  }
}

}  // namespace
}  // namespace actsweep
