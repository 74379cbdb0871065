// Modules as the config of a quantised checkpoint names them: those that it leaves as they were, or
// those that a scheme is for.
//
// In: names and patterns. Out: whether a module is among them. Each method reads its lists in a way
// of its own. Refuses (kModel) a pattern that is no regular expression.
#pragma once

#include <regex>
#include <string>
#include <vector>

#include "checkpoint/config.h"

namespace actsweep {

class NamedModules {
 public:
  enum class Kind {
    kBeginOrEnd,  // a regular expression from the beginning to a dot, or the end of a name:
                  // transformers
    kPrefixed,    // a whole name, or "re:" and a regular expression: compressed-tensors
    kWildcards,   // a whole name with * and ?: ModelOpt
  };

  NamedModules() = default;
  /// The list under `key`; none where it is missing or null.
  NamedModules(Kind kind, const Config& section, const std::string& key);

  bool contains(const std::string& module) const;

 private:
  void add(const std::string& pattern, const Config& section, const std::string& key);
  bool matches_name(const std::string& name, const std::string& module) const;

  Kind kind_ = Kind::kBeginOrEnd;
  std::vector<std::string> names_;
  std::vector<std::regex> patterns_;
};

}  // namespace actsweep
