#include "checkpoint/named_modules.h"

#include <algorithm>

namespace actsweep {
namespace {

const std::string kMarker = "re:";

/// ModelOpt's wildcards as a regular expression.
std::string of_wildcards(const std::string& pattern) {
  std::string text;
  for (const char letter : pattern) {
    if (letter == '*') {
      text += ".*";
    } else if (letter == '?') {
      text += '.';
    } else {
      if (std::string("\\^$.|+()[]{}").find(letter) != std::string::npos) text += '\\';
      text += letter;
    }
  }
  return text;
}

bool has_any(const std::string& text, const char* letters) {
  return text.find_first_of(letters) != std::string::npos;
}

}  // namespace

NamedModules::NamedModules(Kind kind, const Config& section, const std::string& key) : kind_(kind) {
  if (!section.has(key)) return;
  const auto& list = section.values().at(key);
  if (!list.is_array()) section.refuse(key, "a list of modules");
  for (const auto& name : list) {
    if (!name.is_string()) section.refuse(key, "a list of modules");
    add(name.get<std::string>(), section, key);
  }
}

void NamedModules::add(const std::string& pattern, const Config& section, const std::string& key) {
  std::string expression;
  if (kind_ == Kind::kPrefixed && pattern.starts_with(kMarker)) {
    expression = pattern.substr(kMarker.size()) + ".*";
  } else if (kind_ == Kind::kWildcards && has_any(pattern, "*?")) {
    expression = of_wildcards(pattern);
  } else if (kind_ == Kind::kBeginOrEnd && has_any(pattern, "\\^$|*+?()[]{}")) {
    expression = "(?:" + pattern + ")(?:\\..*)?";
  }
  if (expression.empty()) return names_.push_back(pattern);
  try {
    patterns_.emplace_back(expression);
  } catch (const std::regex_error&) {
    section.refuse(key, "regular expressions of modules");
  }
}

bool NamedModules::matches_name(const std::string& name, const std::string& module) const {
  if (kind_ != Kind::kBeginOrEnd) return name == module;
  if (name.empty() || module.ends_with(name)) return module.ends_with(name);
  return module.starts_with(name) && (module[name.size()] == '.' || name.back() == '.');
}

bool NamedModules::contains(const std::string& module) const {
  return std::ranges::any_of(names_,
                             [&](const std::string& name) { return matches_name(name, module); }) ||
         std::ranges::any_of(patterns_, [&](const std::regex& pattern) {
           return std::regex_match(module, pattern);
         });
}

}  // namespace actsweep
