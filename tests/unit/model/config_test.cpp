#include "model/config.h"

#include <gtest/gtest.h>

#include "expect_error.h"

namespace actsweep {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

Config config_of(const json& values) { return {values, "m/config.json"}; }

template <typename Work>
void expect_refusal(const Words& words, Work&& work) {
  auto all = words;
  all.push_back("m/config.json");
  expect_error(ErrorKind::kModel, all, work);
}

TEST(Config, IsAnObject) {
  expect_refusal({"expected a JSON object, found array"}, [] { config_of(json::array()); });
}

TEST(Config, NullIsAMissingKey) {
  const auto config = config_of({{"n", nullptr}});
  EXPECT_FALSE(config.has("n"));
  EXPECT_EQ(config.positive_or("n", 7), 7);
  EXPECT_EQ(config.number_or("n", 0.5), 0.5);
  EXPECT_EQ(config.text_or("n", "none"), "none");
  EXPECT_TRUE(config.flag_or("n", true));
  expect_refusal({"\"n\" is missing"}, [&] { config.positive("n"); });
}

TEST(Config, SizesAreWholeAndAboveZero) {
  EXPECT_EQ(config_of({{"n", 3}}).positive("n"), 3);
  for (const json& wrong : {json(0), json(-2), json(3.0), json("3"), json(true)}) {
    const auto config = config_of({{"n", wrong}});
    const Words words = {"\"n\": expected a positive integer, found " + wrong.dump()};
    expect_refusal(words, [&] { config.positive("n"); });
    expect_refusal(words, [&] { config.positive_or("n", 7); });
  }
}

TEST(Config, WrongTypesAreRefusedEvenWhereADefaultExists) {
  const auto config = config_of({{"x", "1"}, {"flag", 1}, {"name", 2}});
  expect_refusal({"\"x\": expected a number, found \"1\""}, [&] { config.number_or("x", 1); });
  expect_refusal({"\"flag\": expected true or false, found 1"},
                 [&] { config.flag_or("flag", true); });
  expect_refusal({"\"name\": expected a string, found 2"}, [&] { config.text_or("name", ""); });
}

TEST(Config, NumbersAreAsManyAsAskedForAndPositive) {
  EXPECT_EQ(config_of({{"f", {1, 2.5}}}).numbers("f", 2), (std::vector<double>{1, 2.5}));
  for (const json& wrong : {json({1}), json({1, 2, 3}), json({1, 0}), json({1, -1}), json({1, "2"}),
                            json(2), json({1, nullptr})}) {
    const auto config = config_of({{"f", wrong}});
    expect_refusal({"\"f\": expected 2 positive numbers, found " + wrong.dump()},
                   [&] { config.numbers("f", 2); });
  }
}

TEST(Config, IndicesAreWholeAndBelowTheEnd) {
  EXPECT_EQ(config_of({{"l", {0, 3}}}).indices("l", 4), (std::vector<int64_t>{0, 3}));
  EXPECT_TRUE(config_of({{"l", json::array()}}).indices("l", 4).empty());
  for (const json& wrong : {json({4}), json({0, -1}), json({1.0}), json({"0"}), json(0)}) {
    const auto config = config_of({{"l", wrong}});
    expect_refusal({"\"l\": expected a list of whole numbers below 4, found " + wrong.dump()},
                   [&] { config.indices("l", 4); });
  }
}

TEST(Config, OnlyTheSupportedValueOrNoneIsAccepted) {
  EXPECT_NO_THROW(config_of({{"bias", false}}).only("bias", false));
  EXPECT_NO_THROW(config_of(json::object()).only("bias", false));
  for (const json& wrong : {json(true), json(nullptr), json(0), json("false")}) {
    const auto config = config_of({{"bias", wrong}});
    expect_refusal({"\"bias\": only false is supported, found " + wrong.dump()},
                   [&] { config.only("bias", false); });
  }
}

TEST(Config, OneOfGivesTheTextOrListsTheKnownOnes) {
  EXPECT_EQ(config_of({{"act", "relu"}}).one_of("act", {"silu", "relu"}), "relu");
  const auto config = config_of({{"act", "mish"}});
  expect_refusal({"\"act\": expected one of \"silu\", \"relu\", found \"mish\""}, [&] {
    config.one_of("act", {"silu", "relu"});
  });
}

TEST(Config, SectionsNameTheKeysAboveThem) {
  const auto config = config_of({{"rope", {{"inner", {{"factor", "x"}}}}}, {"n", 1}});
  const auto inner = config.section("rope").section("inner");
  expect_refusal({"\"rope.inner.factor\": expected a number"}, [&] { inner.number("factor"); });
  expect_refusal({"\"rope.inner.theta\" is missing"}, [&] { inner.number("theta"); });
  expect_refusal({"\"rope.inner.factor\": only 2 is supported"}, [&] { inner.only("factor", 2); });
  expect_refusal({"\"n\": expected an object, found 1"}, [&] { config.section("n"); });
}

}  // namespace
}  // namespace actsweep
