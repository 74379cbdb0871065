#include "job/token_sample.h"

#include <gtest/gtest.h>

namespace actsweep {
namespace {

Job::Store store_of(const std::string& tokens, int64_t seed = 0) {
  return {.sites = {Site::kResidual}, .layers = {}, .tokens = tokens, .seed = seed};
}

TEST(TokenSample, WordsAreReadAndOthersAreNot) {
  EXPECT_EQ(parse_sample("all")->kind, TokenSample::Kind::kAll);
  EXPECT_EQ(parse_sample("events")->kind, TokenSample::Kind::kEvents);
  EXPECT_EQ(parse_sample("random:0.125")->ratio, 0.125);
  EXPECT_EQ(parse_sample("random:1")->ratio, 1);
  for (const std::string text :
       {"", "none", "random", "random:", "random:0", "random:-0.1", "random:1.0001", "random:nan",
        "random:inf", "random:0.1x", "random: 0.1", "random:1e-999", "All"}) {
    EXPECT_FALSE(parse_sample(text)) << text;
  }
}

TEST(TokenSample, NothingIsStoredWithoutSites) {
  Job::Store store = store_of("all");
  store.sites.clear();
  const auto sample = sample_of(store);
  EXPECT_TRUE(sample.is_known());
  EXPECT_EQ(sample.count(0, 1000), 0);
  EXPECT_EQ(sample.expected(1000), 0);
}

TEST(TokenSample, CountsOfRangesAddUp) {
  for (const std::string tokens : {"all", "random:0.3", "random:1"}) {
    const auto sample = sample_of(store_of(tokens, 7));
    int64_t found = 0;
    for (int64_t token = 100; token < 1100; ++token) found += sample.has(token) ? 1 : 0;
    EXPECT_EQ(sample.count(100, 400) + sample.count(400, 1100), found) << tokens;
  }
  EXPECT_EQ(sample_of(store_of("random:1")).count(0, 5000), 5000);
}

/// The number of tokens is binomial: six standard deviations around its mean.
TEST(TokenSample, RandomTokensAreAsManyAsAskedForAndDifferBySeed) {
  constexpr int64_t kTokens = 100000;
  const auto one = sample_of(store_of("random:0.2", 1)),
             other = sample_of(store_of("random:0.2", 2));
  EXPECT_EQ(one.expected(kTokens), 20000);
  EXPECT_NEAR(one.count(0, kTokens), 20000, 6 * 126.5);
  int64_t both = 0;
  for (int64_t token = 0; token < kTokens; ++token) both += one.has(token) && other.has(token);
  EXPECT_NEAR(both, 4000, 6 * 62);
}

TEST(TokenSample, AskingForEventsByNumberIsAMistake) {
  const auto sample = sample_of(store_of("events"));
  EXPECT_FALSE(sample.is_known());
  EXPECT_THROW(sample.has(0), std::logic_error);
}

}  // namespace
}  // namespace actsweep
