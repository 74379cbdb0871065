#include "base/json_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "expect_error.h"

namespace actsweep {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

json parsed(std::string_view text) { return parse_json(text, "c.json", ErrorKind::kModel); }

void expect_refusal(std::string_view text, const std::string& words) {
  expect_error(ErrorKind::kModel, {"c.json: is not JSON: " + words}, [&] { parsed(text); });
}

TEST(JsonFile, ReadsWhatNlohmannReads) {
  for (const char* text :
       {R"({"a": [1, -2, 0, -0.5, 1e3, 2E-2, 1.25e+1, true, false, null, {}, [], ""]})", "3",
        " \t\r\n[18446744073709551615, -9223372036854775808, 9223372036854775808]\n",
        R"({"\u00e9\n\t\"\\\/\b\f\r": "\ud83d\ude00 é 😀"})"}) {
    EXPECT_EQ(parsed(text), json::parse(text)) << text;
  }
}

TEST(JsonFile, ReadsNumbersThatJsonLacks) {
  const auto values = parsed("[NaN, Infinity, -Infinity, 1e400, -1e400, 1e-400]");
  EXPECT_TRUE(std::isnan(values[0].get<double>()));
  EXPECT_EQ(values[1].get<double>(), INFINITY);
  EXPECT_EQ(values[2].get<double>(), -INFINITY);
  EXPECT_EQ(values[3].get<double>(), INFINITY);
  EXPECT_EQ(values[4].get<double>(), -INFINITY);
  EXPECT_EQ(values[5].get<double>(), 0);
  EXPECT_EQ(parsed(R"(["NaN", "a \"Infinity\", -Infinity"])"),
            json({"NaN", "a \"Infinity\", -Infinity"}));
}

TEST(JsonFile, WholeNumbersBeyond64BitsBecomeFloatingPoint) {
  const auto value = parsed("100000000000000000000");
  EXPECT_TRUE(value.is_number_float());
  EXPECT_EQ(value.get<double>(), 1e20);
  EXPECT_TRUE(parsed(std::string(4300, '9')).is_number_float());
  expect_refusal(std::string(4301, '9'),
                 "line 1, column 1: expected a number of at most 4300 digits");
}

TEST(JsonFile, TheLastOfEqualKeysCounts) {
  EXPECT_EQ(parsed(R"({"a": 1, "b": 2, "a": {"c": 3}})"), (json{{"a", {{"c", 3}}}, {"b", 2}}));
}

TEST(JsonFile, DropsAByteOrderMark) { EXPECT_EQ(parsed("\xEF\xBB\xBF[1]"), json({1})); }

TEST(JsonFile, HalfASurrogatePairIsReplaced) {
  EXPECT_EQ(parsed(R"(["\ud83d", "\ude00x", "\ud83d\u0041"])"), json({"\uFFFD", "\uFFFDx",
                                                                      "\uFFFD"
                                                                      "A"}));
}

TEST(JsonFile, ReadsAThousandLevels) {
  const auto nested = [](int levels) {
    return std::string(levels, '[') + std::string(levels, ']');
  };
  EXPECT_TRUE(parsed(nested(1001)).is_array());
  expect_refusal(nested(1002), "line 1, column 1002: expected at most 1000 levels");
  expect_refusal(std::string(1000000, '['), "line 1, column 1002: expected at most 1000 levels");
}

TEST(JsonFile, RefusalsNameThePlaceAndWhatIsThere) {
  expect_refusal("", "line 1, column 1: expected a value, found the end of the file");
  expect_refusal("{\"a\": 1,\n é: 2}",
                 "line 2, column 2: expected a key in double quotes, "
                 "found \"é\"");
  expect_refusal("{\"é\": x}", "line 1, column 7: expected a value, found \"x\"");
  expect_refusal("{\"a\" 1}", "line 1, column 6: expected \":\", found \"1\"");
  expect_refusal("{\"a\": 1 \"b\": 2}", "line 1, column 9: expected \",\" or \"}\", found \"\"\"");
  expect_refusal("[1 2]", "line 1, column 4: expected \",\" or \"]\", found \"2\"");
  expect_refusal("[1] x", "line 1, column 5: expected the end, found \"x\"");
  expect_refusal("\"a\nb\"",
                 "line 1, column 3: expected the end of a string, found the control "
                 "character 10");
  expect_refusal("\"a", "line 1, column 3: expected the end of a string, found the end");
  expect_refusal(R"("\x")", "line 1, column 3: expected an escape of JSON, found \"x\"");
  expect_refusal(R"("\u00g0")", "line 1, column 4: expected four hexadecimal digits");
  expect_refusal("[\"\xC3\x28\"]", "line 1, column 3: expected UTF-8, found the byte 0xc3");
  expect_refusal("\"\xED\xA0\x80\"", "line 1, column 2: expected UTF-8, found the byte 0xed");
}

TEST(JsonFile, IsAsStrictAsPython) {
  for (const char* text :
       {"{'a': 1}", "[1,]", "{\"a\": 1,}", "// c\n1",  "01",      "1.",        ".5",  "+1",
        "-",        "nan",  "-NaN",        "infinity", "1e",      "1e+",       "tru", "True",
        "None",     "[",    "{",           "{\"a\"",   "{\"a\":", "\"\\u12\"", "1 2"}) {
    expect_refusal(text, "line 1, column");
  }
}

class JsonFileOnDisk : public testing::Test {
 protected:
  JsonFileOnDisk() { std::filesystem::create_directories(folder_); }
  ~JsonFileOnDisk() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& content) const {
    const auto path = (folder_ / "c.json").string();
    std::ofstream(path) << content;
    return path;
  }

  std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) / fmt::format("json_file_{}", ::getpid());
};

TEST_F(JsonFileOnDisk, IsRead) {
  EXPECT_EQ(read_json_file(write("{\"a\": Infinity}"), ErrorKind::kCorpus)["a"], INFINITY);
}

TEST_F(JsonFileOnDisk, WhatCannotBeReadIsNamedWithTheReason) {
  const auto refusal = [&](const std::string& path, const std::string& words) {
    expect_error(ErrorKind::kCorpus, {path, words},
                 [&] { read_json_file(path, ErrorKind::kCorpus, "a list is expected"); });
  };
  refusal((folder_ / "none.json").string(),
          "cannot be read: No such file or directory; a list is expected");
  refusal(folder_.string(), "expected a file, found something else");
  refusal(write(""), "is empty; expected JSON");
  refusal(write("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
          "is a Git LFS pointer, not the file itself; expected JSON; `git lfs pull` fetches it");
  refusal(write("{"), "c.json: is not JSON: line 1, column 2");
}

}  // namespace
}  // namespace actsweep
