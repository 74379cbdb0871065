#include "checkpoint/config.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/json_file.h"

namespace actsweep {

using nlohmann::json;

Config::Config(json values, std::string path, std::string prefix)
    : values_(std::move(values)), path_(std::move(path)), prefix_(std::move(prefix)) {
  require(values_.is_object(), ErrorKind::kModel, "{}: expected a JSON object, found {}", path_,
          values_.type_name());
}

bool Config::has(const std::string& key) const {
  const auto found = values_.find(key);
  return found != values_.end() && !found->is_null();
}

const json& Config::at(const std::string& key, const std::string& expected) const {
  require(contains(key), ErrorKind::kModel, "{}: \"{}\" is missing; expected {}", path_,
          written(key), expected);
  return values_.at(key);
}

std::string Config::written(const std::string& key) const {
  const auto found = written_.find(key);
  return found == written_.end() ? prefix_ + key : found->second;
}

void Config::refuse(const std::string& key, const std::string& expected) const {
  fail(ErrorKind::kModel, "{}: \"{}\": expected {}, found {}", path_, written(key), expected,
       found_text(at(key, expected)));
}

int64_t Config::positive(const std::string& key, int64_t most) const {
  const char* expected = "a positive integer";
  const auto& value = at(key, expected);
  const bool is_whole = value.is_number_integer();
  const bool is_large = value.is_number_unsigned() && value.get<uint64_t>() > kMostSize;
  if (!is_whole || (!is_large && value.get<int64_t>() < 1)) refuse(key, expected);
  if (is_large || value.get<int64_t>() > most) refuse(key, fmt::format("at most {}", most));
  return value.get<int64_t>();
}

int64_t Config::positive_or(const std::string& key, int64_t fallback, int64_t most) const {
  return has(key) ? positive(key, most) : fallback;
}

int64_t Config::count(const std::string& key) const {
  const char* expected = "0 or a positive integer";
  const auto& value = at(key, expected);
  if (!value.is_number_integer() || value < 0) refuse(key, expected);
  return value == 0 ? 0 : positive(key, kMostCount);
}

double Config::number(const std::string& key) const {
  const char* expected = "a finite number";
  const auto& value = at(key, expected);
  if (!value.is_number() || !std::isfinite(value.get<double>())) refuse(key, expected);
  return value.get<double>();
}

double Config::number_or(const std::string& key, double fallback) const {
  return has(key) ? number(key) : fallback;
}

double Config::above_zero(const std::string& key) const {
  const char* expected = "a finite number above 0";
  const auto& value = at(key, expected);
  if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() <= 0) {
    refuse(key, expected);
  }
  return value.get<double>();
}

double Config::above_zero_or(const std::string& key, double fallback) const {
  return has(key) ? above_zero(key) : fallback;
}

double Config::epsilon(const std::string& key) const {
  const double value = number(key);
  if (value < 0) refuse(key, "0 or a number above it");
  return value;
}

bool Config::flag(const std::string& key) const {
  const char* expected = "true or false";
  const auto& value = at(key, expected);
  if (!value.is_boolean() && !value.is_null()) refuse(key, expected);
  return value.is_boolean() && value.get<bool>();
}

bool Config::flag_or(const std::string& key, bool fallback) const {
  return has(key) ? flag(key) : fallback;
}

std::vector<double> Config::numbers(const std::string& key, size_t count) const {
  const auto expected = fmt::format("{} positive numbers", count);
  const auto& value = at(key, expected);
  const auto is_positive = [](const json& x) {
    return x.is_number() && x.get<double>() > 0 && std::isfinite(x.get<double>());
  };
  const bool is_fit = value.is_array() && value.size() == count &&
                      std::all_of(value.begin(), value.end(), is_positive);
  if (!is_fit) refuse(key, expected);
  return value.get<std::vector<double>>();
}

void Config::only(const std::string& key, const json& supported) const {
  const auto found = values_.find(key);
  if (found == values_.end() || *found == supported) return;
  fail(ErrorKind::kModel, "{}: \"{}\": only {} is supported, found {}", path_, written(key),
       supported.dump(), found_text(*found));
}

std::string Config::text(const std::string& key) const {
  const char* expected = "a string";
  const auto& value = at(key, expected);
  if (!value.is_string()) refuse(key, expected);
  return value.get<std::string>();
}

std::string Config::text_or(const std::string& key, const std::string& fallback) const {
  return has(key) ? text(key) : fallback;
}

std::string Config::one_of(const std::string& key,
                           std::initializer_list<const char*> supported) const {
  std::string known;
  for (const char* choice : supported) {
    if (contains(key) && values_.at(key) == choice) return choice;
    known += fmt::format("{}\"{}\"", known.empty() ? "" : ", ", choice);
  }
  refuse(key, "one of " + known);
}

Config Config::section(const std::string& key) const {
  if (has(key) && !values_.at(key).is_object()) refuse(key, "an object");
  return {has(key) ? values_.at(key) : json::object(), path_, prefix_ + key + "."};
}

Config Config::with_values(json values) const {
  Config config = *this;
  config.values_ = std::move(values);
  return config;
}

void Config::set(const std::string& key, const json& value, const std::string& written) {
  values_[key] = value;
  written_[key] = written;
}

std::string found_text(const json& value) {
  constexpr size_t kMost = 80;
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    const double number = value.get<double>();
    return std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity";
  }
  auto text = value.dump(-1, ' ', true);  // ASCII, so that it can be cut anywhere
  if (text.size() > kMost) text = text.substr(0, kMost) + " …";
  return text;
}

namespace {

/// transformers 5 writes a number that JSON lacks as {"__float__": "Infinity"}.
json with_special_floats(json value) {
  constexpr const char* kTag = "__float__";
  if (value.is_object() && value.size() == 1 && value.contains(kTag)) {
    for (const char* text : {"NaN", "Infinity", "-Infinity"}) {
      if (value[kTag] == text) return parse_json(text, text, ErrorKind::kModel);
    }
    return value;
  }
  if (value.is_structured()) {
    for (auto& inner : value) inner = with_special_floats(std::move(inner));
  }
  return value;
}

}  // namespace

Config read_config(const std::string& directory) {
  return read_config_file((std::filesystem::path(directory) / "config.json").string(),
                          "[model] path names a Hugging Face checkpoint directory");
}

Config read_config_file(const std::string& path, const std::string& cure) {
  Config config(with_special_floats(read_json_file(path, ErrorKind::kModel, cure)), path);
  config.only("configuration_files", nullptr);
  return config;
}

}  // namespace actsweep
