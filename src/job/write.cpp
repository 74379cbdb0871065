#include <fmt/format.h>
#include <toml++/toml.h>

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/error.h"
#include "job/check.h"
#include "job/job.h"
#include "job/keys.h"

namespace actsweep {
namespace {

template <typename Value>
std::string toml_text(const Value& value) {
  // Basic strings alone: one line, in the quotes that the documentation uses.
  const auto flags =
      toml::toml_formatter::default_flags &
      ~(toml::format_flags::allow_literal_strings | toml::format_flags::allow_multi_line_strings);
  std::ostringstream text;
  text << toml::toml_formatter(value, flags);
  return text.str();
}

/// A value of a key in TOML's syntax.
std::string to_toml_value(const nlohmann::json& json) {
  if (json.is_boolean()) return toml_text(toml::value<bool>(json.get<bool>()));
  if (json.is_number_integer()) return toml_text(toml::value<int64_t>(json.get<int64_t>()));
  if (json.is_number_float()) return toml_text(toml::value<double>(json.get<double>()));
  if (json.is_string()) return toml_text(toml::value<std::string>(json.get<std::string>()));
  ensure(json.is_array(), "a key's value is a boolean, a number, a string or a list of strings");
  std::string entries;
  for (const auto& entry : json) {
    entries += (entries.empty() ? "" : ", ") + to_toml_value(entry);
  }
  return "[" + entries + "]";
}

std::string text_or_unset(const nlohmann::json& value) {
  return value.is_null() ? "not set" : value.dump();
}

}  // namespace

std::string to_toml(const Job& job) {
  std::string text;
  std::string section;
  for (const auto& key : job_keys()) {
    const nlohmann::json value = key.access.get(job);
    if (value.is_null()) continue;
    if (key.section != section) {
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", key.section);
      section = key.section;
    }
    text += fmt::format("{} = {}\n", key.name, to_toml_value(value));
  }
  return text;
}

nlohmann::json identity_of(const Job& job) {
  auto identity = nlohmann::json::object();
  for (const auto& key : job_keys()) {
    const nlohmann::json value = key.access.get(job);
    if (key.in_identity && !value.is_null()) identity[key.section + "." + key.name] = value;
  }
  return identity;
}

std::vector<std::string> differing_keys(const nlohmann::json& mine, const nlohmann::json& theirs) {
  std::set<std::string> names;
  for (const auto& [name, value] : mine.items()) names.insert(name);
  for (const auto& [name, value] : theirs.items()) names.insert(name);
  std::vector<std::string> lines;
  for (const auto& name : names) {
    const auto here = mine.value(name, nlohmann::json());
    const auto there = theirs.value(name, nlohmann::json());
    if (here == there) continue;
    lines.push_back(fmt::format("{}: {} here, {} in the segments", name, text_or_unset(here),
                                text_or_unset(there)));
  }
  return lines;
}

std::string describe_keys() {
  std::string table = "| key | values | default | meaning |\n|---|---|---|---|\n";
  const Job defaults;
  for (const auto& key : job_keys()) {
    const nlohmann::json value = key.access.get(defaults);
    const std::string fallback = key.is_required   ? "required"
                                 : value.is_null() ? key.without
                                                   : fmt::format("`{}`", to_toml_value(value));
    table += fmt::format("| `{}.{}` | {} | {} | {} |\n", key.section, key.name, expected_of(key),
                         fallback, key.meaning);
  }
  return table;
}

}  // namespace actsweep
