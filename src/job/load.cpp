#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "job/check.h"
#include "job/intervention_keys.h"
#include "job/job.h"
#include "job/keys.h"

namespace actsweep {
namespace {

// Where mistakes without a line stand: after those of the file, in this order.
constexpr uint32_t kNoLine = std::numeric_limits<uint32_t>::max() - 1;
constexpr uint32_t kOverride = std::numeric_limits<uint32_t>::max();

struct Mistake {
  uint32_t line;
  std::string message;
};

/// A value that the file or an override gives to a known key.
struct GivenValue {
  uint32_t line;
  std::string origin;  // "jobs/demo.toml:7: [corpus] path", "--set corpus.path=x"
  nlohmann::json value;
};

/// An [[intervention]] table.
struct GivenTable {
  uint32_t line;
  std::map<const JobKey*, GivenValue> given = {};
};

/// What was read so far.
struct Reading {
  std::string path;
  std::map<const JobKey*, GivenValue> given = {};
  std::map<std::string, uint32_t> section_lines = {};
  std::vector<GivenTable> tables = {};
  std::vector<Mistake> mistakes = {};
};

std::string read_text(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             &std::fclose);
  require(file != nullptr, ErrorKind::kJob, "{}: cannot open the job file: {}", path,
          std::strerror(errno));
  std::string text;
  char buffer[4096];
  while (const size_t count = std::fread(buffer, 1, sizeof buffer, file.get())) {
    text.append(buffer, count);
  }
  require(std::ferror(file.get()) == 0, ErrorKind::kJob, "{}: cannot read the job file: {}", path,
          std::strerror(errno));
  return text;
}

/// The row of a key, or null where it is unknown.
const JobKey* find_key(const std::string& section, const std::string& name) {
  const auto& keys = section == kInterventionSection ? intervention_keys() : job_keys();
  const auto key = std::find_if(keys.begin(), keys.end(), [&](const JobKey& row) {
    return row.section == section && row.name == name;
  });
  return key == keys.end() ? nullptr : &*key;
}

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  return begin == std::string::npos
             ? ""
             : text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
}

/// A number that TOML has no room for stands on a line "key = number"; what its key takes instead.
/// Nothing where it stands elsewhere.
std::optional<std::string> key_of_huge_number(const std::string& text, uint32_t wanted_line) {
  std::istringstream lines(text);
  std::string line, section;
  for (uint32_t number = 1; number <= wanted_line && std::getline(lines, line); ++number) {
    const auto shown = trimmed(line.substr(0, line.find('#')));
    if (shown.starts_with('[')) section = trimmed(shown.substr(shown.find_first_not_of('[')));
  }
  section = trimmed(section.substr(0, section.find(']')));
  const size_t equals = line.find('=');
  const auto* key =
      equals == std::string::npos ? nullptr : find_key(section, trimmed(line.substr(0, equals)));
  if (key == nullptr) return std::nullopt;
  const auto value = line.substr(equals + 1);
  const bool is_table = section == kInterventionSection;
  const auto title = is_table ? fmt::format("[[{}]]", section) : fmt::format("[{}]", section);
  return fmt::format("{} {}: expected {}, found {}", title, key->name, expected_of(*key),
                     trimmed(value.substr(0, value.find('#'))));
}

toml::table parse_file(const std::string& path) {
  const std::string text = read_text(path);
  try {
    return toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    const auto& begin = error.source().begin;
    const bool is_huge = error.description().find("not representable") != std::string_view::npos;
    const auto huge = is_huge ? key_of_huge_number(text, begin.line) : std::nullopt;
    if (huge) fail(ErrorKind::kJob, "{}:{}: {}", path, begin.line, *huge);
    fail(ErrorKind::kJob, "{}:{}:{}: not TOML: {}", path, begin.line, begin.column,
         error.description());
  }
}

/// The value as JSON; dates and times, which JSON lacks and no key takes, become null.
nlohmann::json to_json(const toml::node& node) {
  if (const auto* flag = node.as_boolean()) return flag->get();
  if (const auto* integer = node.as_integer()) return integer->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* list = node.as_array()) {
    auto entries = nlohmann::json::array();
    for (const auto& entry : *list) entries.push_back(to_json(entry));
    return entries;
  }
  if (const auto* table = node.as_table()) {
    auto section = nlohmann::json::object();
    for (const auto& [key, entry] : *table) section[std::string(key.str())] = to_json(entry);
    return section;
  }
  return nullptr;
}

bool is_section(const std::string& name) {
  const auto& keys = job_keys();
  return std::any_of(keys.begin(), keys.end(),
                     [&](const JobKey& row) { return row.section == name; });
}

/// Adds the values of a section's or a table's keys to `given`. `title`: "[model]".
void read_keys(const std::string& section, const std::string& title, const toml::table& table,
               std::map<const JobKey*, GivenValue>& given, Reading& reading) {
  for (const auto& [toml_key, node] : table) {
    const std::string name(toml_key.str());
    const uint32_t line = toml_key.source().begin.line;
    const std::string origin = fmt::format("{}:{}: {} {}", reading.path, line, title, name);
    if (const JobKey* key = find_key(section, name)) {
      given[key] = {line, origin, to_json(node)};
    } else {
      reading.mistakes.push_back({line, fmt::format("{}: unknown key; did you mean {}?", origin,
                                                    nearest_key(section, name))});
    }
  }
}

std::string intervention_title() { return fmt::format("[[{}]]", kInterventionSection); }

/// False where the node is no array of tables.
bool read_interventions(const toml::node& node, Reading& reading) {
  const auto* list = node.as_array();
  if (list == nullptr || (!list->empty() && !list->is_array_of_tables())) return false;
  for (const auto& entry : *list) {
    auto& table = reading.tables.emplace_back(GivenTable{entry.source().begin.line});
    read_keys(kInterventionSection, intervention_title(), *entry.as_table(), table.given, reading);
  }
  return true;
}

void read_file(Reading& reading) {
  for (const auto& [toml_key, node] : parse_file(reading.path)) {
    const std::string name(toml_key.str());
    const uint32_t line = toml_key.source().begin.line;
    const auto refuse = [&](const std::string& message) {
      reading.mistakes.push_back({line, fmt::format("{}:{}: {}", reading.path, line, message)});
    };
    if (is_section(name)) {
      reading.section_lines[name] = line;
      if (const auto* table = node.as_table()) {
        read_keys(name, "[" + name + "]", *table, reading.given, reading);
      } else {
        refuse(fmt::format("[{}]: expected a section, found {}", name, found_of(to_json(node))));
      }
    } else if (name == kInterventionSection) {
      if (!read_interventions(node, reading)) {
        refuse(fmt::format("{}: expected an array of tables, found {}", intervention_title(),
                           found_of(to_json(node))));
      }
    } else if (node.is_table() || node.is_array_of_tables()) {
      refuse(fmt::format("[{}]: unknown section; did you mean {}?", name, nearest_section(name)));
    } else {
      refuse(fmt::format("{}: a key outside the sections; did you mean {}?", name,
                         nearest_key("", name)));
    }
  }
}

/// The value of an override, or nothing where it is not TOML. What is no TOML value and begins like
/// none is a bare word.
std::optional<nlohmann::json> parse_override_value(const std::string& text) {
  std::vector<std::string> readings = {text};
  if (text.find_first_of("[{\"'") != 0) readings.push_back("'" + text + "'");
  for (const auto& reading : readings) {
    try {
      const toml::table table = toml::parse("value = " + reading);
      if (table.size() == 1) return to_json(*table.get("value"));  // else a line break in the text
    } catch (const toml::parse_error&) {
      continue;
    }
  }
  return std::nullopt;
}

void read_override(const std::string& text, Reading& reading) {
  const std::string origin = "--set " + text;
  const auto refuse = [&](const std::string& message) {
    reading.mistakes.push_back({kOverride, fmt::format("{}: {}", origin, message)});
  };
  const size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  const size_t dot = name.find('.');
  if (equals == std::string::npos || dot == std::string::npos) {
    return refuse("expected section.key=value");
  }
  const std::string section = name.substr(0, dot);
  const JobKey* key = find_key(section, name.substr(dot + 1));
  if (section == kInterventionSection) {
    return refuse(fmt::format("{} tables are set in the job file alone", intervention_title()));
  }
  if (!is_section(section)) {
    return refuse(fmt::format("unknown section; did you mean {}?", nearest_section(section)));
  }
  if (!key) {
    return refuse(
        fmt::format("unknown key; did you mean {}?", nearest_key(section, name.substr(dot + 1))));
  }
  const auto value = parse_override_value(text.substr(equals + 1));
  if (!value) return refuse(fmt::format("not a TOML value; expected {}", expected_of(*key)));
  reading.given[key] = {kOverride, origin, *value};
}

/// Sets the member of a given key, or notes what is wrong with it.
void apply(const JobKey& key, const GivenValue& given, Job& job, std::vector<Mistake>& mistakes) {
  const auto problems = problems_of(key, given.value);
  for (const auto& problem : problems) {
    mistakes.push_back({given.line, fmt::format("{}: {}", given.origin, problem)});
  }
  if (problems.empty()) key.access.set(job, given.value);
}

Mistake missing(const JobKey& key, const Reading& reading) {
  const auto line = reading.section_lines.find(key.section);
  const std::string message =
      fmt::format("[{}] {}: missing, but required: {}", key.section, key.name, key.meaning);
  if (line == reading.section_lines.end()) {
    return {kNoLine, fmt::format("{}: {}", reading.path, message)};
  }
  return {line->second, fmt::format("{}:{}: {}", reading.path, line->second, message)};
}

/// Whether the table has a key that may stand in the place of this one.
bool has_instead(const JobKey& key, const GivenTable& table) {
  return std::any_of(key.instead.begin(), key.instead.end(), [&](const std::string& name) {
    return table.given.contains(find_key(key.section, name));
  });
}

/// Adds an intervention to the job, or notes what is wrong with its table.
void apply(const GivenTable& table, const std::string& path, Job& job,
           std::vector<Mistake>& mistakes) {
  job.interventions.emplace_back();
  const size_t known_mistakes = mistakes.size();
  const auto place = fmt::format("{}:{}: {}", path, table.line, intervention_title());
  std::set<std::string> names;
  for (const auto& key : intervention_keys()) {
    const auto given = table.given.find(&key);
    if (given != table.given.end()) {
      names.insert(key.name);
      apply(key, given->second, job, mistakes);
    } else if (key.is_required && !has_instead(key, table)) {
      mistakes.push_back({table.line, fmt::format("{} {}: missing, but required: {}", place,
                                                  key.name, key.meaning)});
    }
  }
  if (mistakes.size() > known_mistakes) return;
  const bool compares = job.statistics.loss || job.statistics.classifier;
  for (const auto& [name, why] : conflicts_of(job.interventions.back(), names, compares)) {
    const auto& given = table.given.at(find_key(kInterventionSection, name));
    mistakes.push_back({given.line, fmt::format("{}: {}", given.origin, why)});
  }
}

/// The job of what was read; refuses all mistakes at once.
Job job_of(Reading& reading, bool is_whole) {
  Job job;
  auto& mistakes = reading.mistakes;
  for (const auto& key : job_keys()) {
    const auto given = reading.given.find(&key);
    if (given != reading.given.end()) {
      apply(key, given->second, job, mistakes);
    } else if (key.is_required && is_whole) {
      mistakes.push_back(missing(key, reading));
    }
  }
  for (const auto& table : reading.tables) apply(table, reading.path, job, mistakes);
  std::stable_sort(mistakes.begin(), mistakes.end(),
                   [](const Mistake& a, const Mistake& b) { return a.line < b.line; });
  std::vector<std::string> messages;
  for (const auto& mistake : mistakes) messages.push_back(mistake.message);
  require(messages.empty(), ErrorKind::kJob, "{}", fmt::join(messages, "\n"));
  return job;
}

}  // namespace

Job load_job(const std::string& path, const std::vector<std::string>& overrides) {
  Reading reading{.path = path};
  read_file(reading);
  for (const auto& text : overrides) read_override(text, reading);
  return job_of(reading, true);
}

Job load_overrides(const std::vector<std::string>& overrides) {
  Reading reading;
  for (const auto& text : overrides) read_override(text, reading);
  return job_of(reading, false);
}

}  // namespace actsweep
