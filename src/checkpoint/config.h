// Typed reading of a config.json: every fact is asked for by name, and a wrong one is refused by
// name.
//
// In: a JSON object, and the keys that a family's class in transformers declares. Out: values; a
// declared key that is missing has that class' default. Refuses (ErrorKind::kModel) missing keys,
// wrong types, numbers out of range and values that a family does not support, with the file, the
// key, what was expected and what was found.
#pragma once

#include <nlohmann/json.hpp>

#include <initializer_list>
#include <map>
#include <string>
#include <vector>

namespace actsweep {

/// A key of config.json as a class of transformers declares it.
struct ConfigKey {
  const char* name;
  const char* type;  // as annotated there: "int", "float|None", "list[str]|None"
  nlohmann::json fallback = nlohmann::json::value_t::discarded;  // where missing; discarded: none
};

/// Another name of a declared key, which counts where both are there.
struct ConfigAlias {
  const char* name;
  const char* key;
};

struct ConfigKeys {
  std::vector<ConfigKey> keys = {};
  std::vector<ConfigAlias> aliases = {};

  bool declares(const std::string& name) const;
  /// The same but for some: `own` take the place of keys of their names, or come last, and `absent`
  /// are left out.
  ConfigKeys but(const std::vector<ConfigKey>& own,
                 const std::vector<std::string>& absent = {}) const;
};

/// No model has as many layers, heads or experts; no size is as large.
inline constexpr int64_t kMostCount = 100'000, kMostSize = 2'147'483'647;

class Config {
 public:
  Config(nlohmann::json values, std::string path, std::string prefix = "");

  const std::string& path() const { return path_; }
  const nlohmann::json& values() const { return values_; }
  /// True where the key exists, be it null.
  bool contains(const std::string& key) const { return values_.contains(key); }
  /// True where the key exists and is not null.
  bool has(const std::string& key) const;
  int64_t positive(const std::string& key, int64_t most = kMostSize) const;
  int64_t positive_or(const std::string& key, int64_t fallback, int64_t most = kMostSize) const;
  /// 0 or more, of what no model has many.
  int64_t count(const std::string& key) const;
  /// Finite.
  double number(const std::string& key) const;
  double number_or(const std::string& key, double fallback) const;
  /// Finite and above 0.
  double above_zero(const std::string& key) const;
  double above_zero_or(const std::string& key, double fallback) const;
  /// The epsilon of a norm: finite, 0 or above.
  double epsilon(const std::string& key) const;
  /// Null is false.
  bool flag(const std::string& key) const;
  bool flag_or(const std::string& key, bool fallback) const;
  /// Positive numbers, as many as `count`.
  std::vector<double> numbers(const std::string& key, size_t count) const;
  /// Refuses the config where a key is there with another value than the one that is supported.
  void only(const std::string& key, const nlohmann::json& supported) const;
  std::string text(const std::string& key) const;
  std::string text_or(const std::string& key, const std::string& fallback) const;
  /// Refuses the config unless the key's text is one of `supported`.
  std::string one_of(const std::string& key, std::initializer_list<const char*> supported) const;
  /// An object under a key as a Config of its own, whose messages name "key."; an empty one where
  /// the key is missing or null.
  Config section(const std::string& key) const;
  /// The same place of the file with other values.
  Config with_values(nlohmann::json values) const;
  /// Declared keys have their types or are refused; missing ones have their defaults; other names
  /// stand under their keys.
  Config declared(const ConfigKeys& declared) const;
  /// Gives a key a value that stands elsewhere in the file, under the name that messages say.
  void set(const std::string& key, const nlohmann::json& value, const std::string& written);
  /// Says what a key's value should be.
  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const;

 private:
  const nlohmann::json& at(const std::string& key, const std::string& expected) const;
  /// The key as the file has it, with the keys above it.
  std::string written(const std::string& key) const;

  nlohmann::json values_;
  std::string path_;
  std::string prefix_;
  std::map<std::string, std::string> written_;  // by key: the name that the file has for it
};

/// A value as messages have it: of long ones the beginning.
std::string found_text(const nlohmann::json& value);

/// Reads `directory`/config.json.
Config read_config(const std::string& directory);
/// Reads a config.json of any name; `cure` is said where there is none.
Config read_config_file(const std::string& path, const std::string& cure = "");

}  // namespace actsweep
