#include "model/config.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/error.h"

namespace actsweep {

using nlohmann::json;

Config::Config(json values, std::string path) : values_(std::move(values)), path_(std::move(path)) {
  require(values_.is_object(), ErrorKind::kModel, "{}: expected a JSON object, found {}", path_,
          values_.type_name());
}

bool Config::has(const std::string& key) const {
  const auto found = values_.find(key);
  return found != values_.end() && !found->is_null();
}

const json& Config::at(const std::string& key) const {
  require(has(key), ErrorKind::kModel, "{}: \"{}{}\" is missing", path_, prefix_, key);
  return values_.at(key);
}

void Config::refuse(const std::string& key, const std::string& expected) const {
  fail(ErrorKind::kModel, "{}: \"{}{}\": expected {}, found {}", path_, prefix_, key, expected,
       at(key).dump());
}

int64_t Config::positive(const std::string& key) const {
  const auto& value = at(key);
  if (!value.is_number_integer() || value.get<int64_t>() < 1) refuse(key, "a positive integer");
  return value.get<int64_t>();
}

int64_t Config::positive_or(const std::string& key, int64_t fallback) const {
  return has(key) ? positive(key) : fallback;
}

double Config::number(const std::string& key) const {
  const auto& value = at(key);
  if (!value.is_number()) refuse(key, "a number");
  return value.get<double>();
}

double Config::number_or(const std::string& key, double fallback) const {
  return has(key) ? number(key) : fallback;
}

bool Config::flag_or(const std::string& key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!at(key).is_boolean()) refuse(key, "true or false");
  return at(key).get<bool>();
}

std::vector<double> Config::numbers(const std::string& key, size_t count) const {
  const auto& value = at(key);
  const auto is_positive = [](const json& x) { return x.is_number() && x.get<double>() > 0; };
  const bool is_fit = value.is_array() && value.size() == count &&
                      std::all_of(value.begin(), value.end(), is_positive);
  if (!is_fit) refuse(key, fmt::format("{} positive numbers", count));
  return value.get<std::vector<double>>();
}

std::vector<int64_t> Config::indices(const std::string& key, int64_t end) const {
  const auto& value = at(key);
  const auto is_index = [&](const json& x) {
    return x.is_number_integer() && x.get<int64_t>() >= 0 && x.get<int64_t>() < end;
  };
  const bool is_fit = value.is_array() && std::all_of(value.begin(), value.end(), is_index);
  if (!is_fit) refuse(key, fmt::format("a list of whole numbers below {}", end));
  return value.get<std::vector<int64_t>>();
}

void Config::only(const std::string& key, const json& supported) const {
  const auto found = values_.find(key);
  if (found == values_.end() || *found == supported) return;
  fail(ErrorKind::kModel, "{}: \"{}{}\": only {} is supported, found {}", path_, prefix_, key,
       supported.dump(), found->dump());
}

std::string Config::text(const std::string& key) const {
  const auto& value = at(key);
  if (!value.is_string()) refuse(key, "a string");
  return value.get<std::string>();
}

std::string Config::text_or(const std::string& key, const std::string& fallback) const {
  return has(key) ? text(key) : fallback;
}

std::string Config::one_of(const std::string& key,
                           std::initializer_list<const char*> supported) const {
  const auto value = text(key);
  std::string known;
  for (const char* choice : supported) {
    if (value == choice) return value;
    known += fmt::format("{}\"{}\"", known.empty() ? "" : ", ", choice);
  }
  refuse(key, "one of " + known);
}

Config Config::section(const std::string& key) const {
  if (!at(key).is_object()) refuse(key, "an object");
  Config section(at(key), path_);
  section.prefix_ = prefix_ + key + ".";
  return section;
}

Config Config::with_defaults(const json& defaults) const {
  Config config = *this;
  for (const auto& [key, value] : defaults.items()) {
    if (!has(key)) config.values_[key] = value;
  }
  return config;
}

Config read_config(const std::string& directory) {
  const auto path = (std::filesystem::path(directory) / "config.json").string();
  std::ifstream file(path);
  require(file.good(), ErrorKind::kModel,
          "{}: cannot be read; [model] path names a Hugging Face checkpoint directory", path);
  std::stringstream text;
  text << file.rdbuf();
  const auto values = json::parse(text.str(), nullptr, false);
  require(!values.is_discarded(), ErrorKind::kModel, "{}: is not JSON", path);
  Config config(values, path);
  require(!config.has("quantization_config"), ErrorKind::kModel,
          "{}: \"quantization_config\": a quantised checkpoint is not supported; expected float32, "
          "bfloat16 or float16 weights",
          path);
  return config;
}

}  // namespace actsweep
