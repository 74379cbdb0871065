#include "checkpoint/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

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
  expect_refusal({"\"n\": expected a positive integer, found null"}, [&] { config.positive("n"); });
  expect_refusal({"\"m\" is missing; expected a positive integer"}, [&] { config.positive("m"); });
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
  expect_refusal({"\"x\": expected a finite number, found \"1\""},
                 [&] { config.number_or("x", 1); });
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

TEST(Config, SizesHaveALimit) {
  EXPECT_EQ(config_of({{"n", kMostSize}}).positive("n"), kMostSize);
  expect_refusal({"\"n\": expected at most 2147483647, found 2147483648"}, [] {
    config_of({{"n", kMostSize + 1}}).positive("n");
  });
  expect_refusal({"\"n\": expected at most 100000, found 18446744073709551615"}, [] {
    config_of({{"n", UINT64_MAX}}).positive("n", kMostCount);
  });
}

TEST(Config, NumbersAreFinite) {
  const double infinity = std::numeric_limits<double>::infinity();
  const auto config = config_of({{"x", infinity}, {"y", -infinity}, {"z", std::nan("")}, {"w", 0}});
  expect_refusal({"\"x\": expected a finite number, found Infinity"}, [&] { config.number("x"); });
  expect_refusal({"found -Infinity"}, [&] { config.number_or("y", 1); });
  expect_refusal({"found NaN"}, [&] { config.above_zero("z"); });
  expect_refusal({"\"w\": expected a finite number above 0, found 0"},
                 [&] { config.above_zero_or("w", 1); });
  EXPECT_EQ(config.epsilon("w"), 0);
  expect_refusal({"\"e\": expected 0 or a number above it, found -1.0"}, [] {
    config_of({{"e", -1.0}}).epsilon("e");
  });
}

TEST(Config, LongValuesAreCutInMessages) {
  const auto config = config_of({{"x", std::string(200, 'a')}});
  expect_refusal({fmt::format("found \"{} …", std::string(79, 'a'))}, [&] { config.number("x"); });
}

const ConfigKeys kDeclared = {
    {{"a", "int", 3}, {"b", "float|None", nullptr}, {"c", "list[int]|str"}}, {{"other", "a"}}};

TEST(Config, DeclaredKeysHaveDefaultsWhereTheyAreMissing) {
  const auto config = config_of({{"b", 0.5}}).declared(kDeclared);
  EXPECT_EQ(config.positive("a"), 3);
  EXPECT_EQ(config.number("b"), 0.5);
  EXPECT_FALSE(config.contains("c"));
  EXPECT_FALSE(config_of(json::object()).declared(kDeclared).has("b"));
}

TEST(Config, DeclaredKeysHaveTheirTypes) {
  for (const json& right : {json({1, 2}), json("x"), json::array()}) {
    EXPECT_NO_THROW(config_of({{"c", right}}).declared(kDeclared));
  }
  const auto refuse = [](const std::string& key, const json& wrong, const std::string& expected) {
    expect_refusal({"\"" + key + "\": expected " + expected + ", found " + wrong.dump()}, [&] {
      config_of({{key, wrong}}).declared(kDeclared);
    });
  };
  for (const json& wrong : {json(1.0), json(true), json("1"), json(nullptr), json::array()}) {
    refuse("a", wrong, "a whole number");
  }
  for (const json& wrong : {json(1), json(false), json("1")}) {
    refuse("b", wrong, "a floating-point number or null");
  }
  for (const json& wrong : {json({1, "x"}), json({1.5}), json(1), json(nullptr)}) {
    refuse("c", wrong, "a list of whole numbers or a string");
  }
}

TEST(ConfigKeys, OwnKeysTakeThePlaceOfThoseOfTheirNamesAndAbsentOnesAreLeftOut) {
  const auto keys = kDeclared.but({{"b", "int", 5}, {"d", "str", "x"}}, {"c"});
  const auto config = config_of(json::object()).declared(keys);
  EXPECT_EQ(config.values(), json({{"a", 3}, {"b", 5}, {"d", "x"}}));
  EXPECT_NO_THROW(config_of({{"c", 1}}).declared(keys));
  EXPECT_THROW(config_of({{"b", 0.5}}).declared(keys), Error);
  EXPECT_EQ(config_of({{"other", 7}}).declared(keys).positive("a"), 7);
}

TEST(Config, AnotherNameCountsAndIsNamed) {
  const auto config = config_of({{"a", 1}, {"other", 7}}).declared(kDeclared);
  EXPECT_EQ(config.positive("a"), 7);
  expect_refusal({"\"other\": expected a whole number, found \"x\""}, [] {
    config_of({{"other", "x"}}).declared(kDeclared).positive("a");
  });
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
  expect_refusal({"\"rope.inner.factor\": expected a finite number"},
                 [&] { inner.number("factor"); });
  expect_refusal({"\"rope.inner.theta\" is missing"}, [&] { inner.number("theta"); });
  expect_refusal({"\"rope.inner.factor\": only 2 is supported"}, [&] { inner.only("factor", 2); });
  expect_refusal({"\"n\": expected an object, found 1"}, [&] { config.section("n"); });
}

}  // namespace
}  // namespace actsweep
