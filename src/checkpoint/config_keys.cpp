// What a family's class in transformers declares of a config.json.
#include "checkpoint/config.h"

#include <algorithm>
#include <sstream>

#include "base/error.h"

namespace actsweep {
namespace {

using nlohmann::json;

/// One type of an annotation: what it takes, and its words.
struct Type {
  const char* name;
  const char* words;
  bool (*takes)(const json& value);
};

bool is_whole(const json& value) { return value.is_number_integer(); }
bool is_fraction(const json& value) { return value.is_number_float(); }
bool is_text(const json& value) { return value.is_string(); }

bool is_list(const json& value, bool (*is_entry)(const json&)) {
  return value.is_array() && std::all_of(value.begin(), value.end(), is_entry);
}

const std::vector<Type>& types() {
  static const std::vector<Type> list = {
      {"int", "a whole number", is_whole},
      {"float", "a floating-point number", is_fraction},
      {"bool", "true or false", [](const json& x) { return x.is_boolean(); }},
      {"str", "a string", is_text},
      {"dict", "an object", [](const json& x) { return x.is_object(); }},
      {"list", "a list", [](const json& x) { return x.is_array(); }},
      {"list[int]", "a list of whole numbers", [](const json& x) { return is_list(x, is_whole); }},
      {"list[float]", "a list of floating-point numbers",
       [](const json& x) { return is_list(x, is_fraction); }},
      {"list[str]", "a list of strings", [](const json& x) { return is_list(x, is_text); }},
      {"None", "null", [](const json& x) { return x.is_null(); }}};
  return list;
}

/// The types of an annotation, "int|None".
std::vector<Type> types_of(const std::string& annotation) {
  std::vector<Type> found;
  std::istringstream parts(annotation);
  for (std::string name; std::getline(parts, name, '|');) {
    const auto is_it = [&](const Type& type) { return name == type.name; };
    const auto type = std::find_if(types().begin(), types().end(), is_it);
    ensure(type != types().end(), "a declared key has a type that is known");
    found.push_back(*type);
  }
  return found;
}

std::string words_of(const std::vector<Type>& choices) {
  std::string words;
  for (const auto& type : choices) words += (words.empty() ? "" : " or ") + std::string(type.words);
  return words;
}

auto place_of(std::vector<ConfigKey>& keys, const std::string& name) {
  return std::find_if(keys.begin(), keys.end(), [&](const auto& key) { return key.name == name; });
}

}  // namespace

bool ConfigKeys::declares(const std::string& name) const {
  return std::any_of(keys.begin(), keys.end(), [&](const auto& key) { return key.name == name; });
}

ConfigKeys ConfigKeys::but(const std::vector<ConfigKey>& own,
                           const std::vector<std::string>& absent) const {
  ConfigKeys changed = *this;
  for (const auto& name : absent) {
    const auto place = place_of(changed.keys, name);
    ensure(place != changed.keys.end(), "a key that is left out is there");
    changed.keys.erase(place);
  }
  for (const auto& key : own) {
    const auto place = place_of(changed.keys, key.name);
    if (place == changed.keys.end()) {
      changed.keys.push_back(key);
    } else {
      *place = key;
    }
  }
  return changed;
}

Config Config::declared(const ConfigKeys& declared) const {
  Config config = *this;
  for (const auto& alias : declared.aliases) {
    if (!contains(alias.name)) continue;
    config.set(alias.key, values_.at(alias.name), prefix_ + alias.name);
  }
  for (const auto& key : declared.keys) {
    if (config.contains(key.name)) {
      const auto choices = types_of(key.type);
      const auto& value = config.values_.at(key.name);
      const auto takes = [&](const Type& type) { return type.takes(value); };
      if (std::none_of(choices.begin(), choices.end(), takes))
        config.refuse(key.name, words_of(choices));
    } else if (!key.fallback.is_discarded()) {
      config.values_[key.name] = key.fallback;
    }
  }
  return config;
}

}  // namespace actsweep
