#include <fmt/format.h>
#include <toml++/toml.h>

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/error.h"
#include "job/check.h"
#include "job/intervention_keys.h"
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
  ensure(json.is_array(), "a key's value is a boolean, a number, a string or a list of those");
  std::string entries;
  for (const auto& entry : json) {
    entries += (entries.empty() ? "" : ", ") + to_toml_value(entry);
  }
  return "[" + entries + "]";
}

/// A job with this intervention alone, to which the access of intervention_keys is.
Job with_only(const Job::Intervention& intervention) {
  Job job;
  job.interventions = {intervention};
  return job;
}

/// What stands in the column of defaults.
std::string default_of(const JobKey& key, const Job& defaults) {
  if (!key.instead.empty()) return fmt::format("required, or `{}`", fmt::join(key.instead, "`, `"));
  if (key.is_required) return "required";
  const nlohmann::json value = key.access.get(defaults);
  return value.is_null() ? key.without : fmt::format("`{}`", to_toml_value(value));
}

/// The rows of a Markdown table.
std::string describe(const std::vector<JobKey>& keys, const Job& defaults) {
  std::string rows;
  for (const auto& key : keys) {
    rows += fmt::format("| `{}.{}` | {} | {} | {} |\n", key.section, key.name, expected_of(key),
                        default_of(key, defaults), key.meaning);
  }
  return rows;
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
  if (job.interventions.empty()) return text;
  return fmt::format("{}\n{}", text, to_toml(job.interventions));
}

std::string to_toml(const std::vector<Job::Intervention>& interventions) {
  std::string text;
  for (const auto& intervention : interventions) {
    const Job job = with_only(intervention);
    text += fmt::format("{}[[{}]]\n", text.empty() ? "" : "\n", kInterventionSection);
    for (const auto& key : intervention_keys()) {
      const nlohmann::json value = key.access.get(job);
      if (!value.is_null()) text += fmt::format("{} = {}\n", key.name, to_toml_value(value));
    }
  }
  return text;
}

nlohmann::json identity_of(const Job& job) {
  auto identity = nlohmann::json::object();
  for (const auto& key : job_keys()) {
    const nlohmann::json value = key.access.get(job);
    if (key.in_identity && !value.is_null()) identity[key.section + "." + key.name] = value;
  }
  for (size_t i = 0; i < job.interventions.size(); ++i) {
    const Job one = with_only(job.interventions[i]);
    for (const auto& key : intervention_keys()) {
      const nlohmann::json value = key.access.get(one);
      if (!key.in_identity || value.is_null()) continue;
      identity[fmt::format("{}.{}.{}", key.section, i + 1, key.name)] = value;
    }
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
  const std::string head = "| key | values | default | meaning |\n|---|---|---|---|\n";
  return head + describe(job_keys(), Job{}) +
         "\nEach `[[intervention]]` table, of which there may be any number, has these keys "
         "(docs/interventions.md):\n\n" +
         head + describe(intervention_keys(), with_only({}));
}

}  // namespace actsweep
