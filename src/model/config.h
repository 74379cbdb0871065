// Typed reading of a config.json: every fact is asked for by name, and a wrong one is refused by
// name.
//
// In: a JSON object. Out: values. Refuses (ErrorKind::kModel) missing keys, wrong types and values
// that a family does not support, with the file, the key, what was expected and what was found.
#pragma once

#include <nlohmann/json.hpp>

#include <initializer_list>
#include <string>
#include <vector>

namespace actsweep {

class Config {
 public:
  Config(nlohmann::json values, std::string path);

  const std::string& path() const { return path_; }
  const nlohmann::json& values() const { return values_; }
  /// True where the key exists and is not null.
  bool has(const std::string& key) const;
  int64_t positive(const std::string& key) const;
  int64_t positive_or(const std::string& key, int64_t fallback) const;
  double number(const std::string& key) const;
  double number_or(const std::string& key, double fallback) const;
  bool flag_or(const std::string& key, bool fallback) const;
  /// Positive numbers, as many as `count`.
  std::vector<double> numbers(const std::string& key, size_t count) const;
  /// Whole numbers from 0 up to below `end`.
  std::vector<int64_t> indices(const std::string& key, int64_t end) const;
  /// Refuses the config where a key is there with another value than the one that is supported.
  void only(const std::string& key, const nlohmann::json& supported) const;
  std::string text(const std::string& key) const;
  std::string text_or(const std::string& key, const std::string& fallback) const;
  /// Refuses the config unless the key's text is one of `supported`.
  std::string one_of(const std::string& key, std::initializer_list<const char*> supported) const;
  /// An object under a key as a Config of its own, whose messages name "key.".
  Config section(const std::string& key) const;
  /// The same with values for keys that are missing.
  Config with_defaults(const nlohmann::json& defaults) const;

 private:
  const nlohmann::json& at(const std::string& key) const;
  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const;

  nlohmann::json values_;
  std::string path_;
  std::string prefix_;
};

/// Reads `directory`/config.json.
Config read_config(const std::string& directory);

}  // namespace actsweep
