#include "job/check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <utility>

namespace actsweep {
namespace {

std::string quoted(const std::vector<std::string>& words) {
  return fmt::format("\"{}\"", fmt::join(words, "\", \""));
}

std::string one_of(const std::vector<std::string>& words) {
  return words.size() == 1 ? quoted(words) : "one of " + quoted(words);
}

bool is_name(const std::string& text) {
  const char* letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
  return !text.empty() && text.find_first_not_of(letters) == std::string::npos;
}

bool contains(const std::vector<std::string>& words, const nlohmann::json& value) {
  return std::find(words.begin(), words.end(), value.get<std::string>()) != words.end();
}

bool fits_list_entry(const JobKey& key, const nlohmann::json& entry) {
  if (!entry.is_string()) return false;
  return key.kind == ValueKind::kWords ? contains(key.words, entry)
                                       : is_name(entry.get<std::string>());
}

/// Whether a value of a key that is no list is one that the key takes.
bool fits(const JobKey& key, const nlohmann::json& value) {
  switch (key.kind) {
    case ValueKind::kText:
      return value.is_string() && !value.get<std::string>().empty();
    case ValueKind::kWord:
      return value.is_string() && contains(key.words, value);
    case ValueKind::kShard:
      return value.is_string() && parse_shard(value.get<std::string>()).has_value();
    case ValueKind::kInteger:
      return value.is_number_integer() && value.get<int64_t>() >= key.least &&
             value.get<int64_t>() <= key.most;
    case ValueKind::kNumber:
      return value.is_number() && std::isfinite(value.get<double>()) && value.get<double>() > 0;
    case ValueKind::kFlag:
      return value.is_boolean();
    case ValueKind::kWords:
    case ValueKind::kNames:
      break;
  }
  return false;
}

std::string refusal(const std::string& expected, const nlohmann::json& found,
                    const std::string& reason) {
  return fmt::format("expected {}, found {}{}{}", expected, found_of(found),
                     reason.empty() ? "" : "; ", reason);
}

/// What one entry of a list has to be.
std::string expected_entry_of(const JobKey& key) {
  if (key.kind == ValueKind::kNames) return "a name of letters, digits, _ and -";
  return one_of(key.words);
}

std::vector<std::string> problems_of_list(const JobKey& key, const nlohmann::json& list) {
  if (!list.is_array()) return {refusal(expected_of(key), list, key.reason)};
  std::vector<std::string> problems;
  std::set<nlohmann::json> seen;
  for (size_t i = 0; i < list.size(); ++i) {
    if (!fits_list_entry(key, list[i])) {
      problems.push_back(
          fmt::format("entry {}: {}", i + 1, refusal(expected_entry_of(key), list[i], key.reason)));
    } else if (!seen.insert(list[i]).second) {
      problems.push_back(fmt::format("entry {}: {} is named twice", i + 1, list[i].dump()));
    }
  }
  return problems;
}

/// Levenshtein's distance: the fewest letters to insert, drop or replace.
size_t edit_distance(const std::string& from, const std::string& to) {
  std::vector<size_t> row(to.size() + 1);  // distances of a prefix of `from` to each prefix of `to`
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= from.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= to.size(); ++j) {
      const size_t replaced = diagonal + (from[i - 1] == to[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string expected_of(const JobKey& key) {
  switch (key.kind) {
    case ValueKind::kText:
      return "a string that is not empty";
    case ValueKind::kWord:
      return one_of(key.words);
    case ValueKind::kShard:
      return "\"i/n\" with 0 <= i < n";
    case ValueKind::kInteger:
      if (key.most == std::numeric_limits<int64_t>::max())
        return fmt::format("an integer of at least {}", key.least);
      return fmt::format("an integer from {} to {}", key.least, key.most);
    case ValueKind::kNumber:
      return "a finite number above 0";
    case ValueKind::kFlag:
      return "true or false";
    case ValueKind::kWords:
      return "a list of " + quoted(key.words);
    case ValueKind::kNames:
      return "a list of names of letters, digits, _ and -";
  }
  return {};
}

std::string found_of(const nlohmann::json& value) {
  using Type = nlohmann::json::value_t;
  switch (value.type()) {
    case Type::boolean:
      return fmt::format("a boolean ({})", value.get<bool>());
    case Type::number_integer:
    case Type::number_unsigned:
      return fmt::format("an integer ({})", value.get<int64_t>());
    case Type::number_float:
      // JSON has no word for infinity, and fmt none for the ".0" that tells 2.0 from 2.
      return std::isfinite(value.get<double>()) ? fmt::format("a float ({})", value.dump())
                                                : fmt::format("a float ({})", value.get<double>());
    case Type::string:
      return fmt::format("a string ({})", value.dump());
    case Type::array:
      return "a list";
    case Type::object:
      return "a table";
    default:
      return "a date or time";
  }
}

std::vector<std::string> problems_of(const JobKey& key, const nlohmann::json& value) {
  if (key.kind == ValueKind::kWords || key.kind == ValueKind::kNames) {
    return problems_of_list(key, value);
  }
  if (fits(key, value)) return {};
  return {refusal(expected_of(key), value, key.reason)};
}

std::string nearest_section(const std::string& section) {
  const auto& keys = job_keys();
  return std::min_element(keys.begin(), keys.end(),
                          [&](const JobKey& a, const JobKey& b) {
                            return edit_distance(section, a.section) <
                                   edit_distance(section, b.section);
                          })
      ->section;
}

std::string nearest_key(const std::string& section, const std::string& name) {
  // A key of another section counts as one letter farther, and loses a tie.
  const auto distance = [&](const JobKey& key) {
    const size_t elsewhere = key.section == section ? 0 : 1;
    return std::pair(edit_distance(name, key.name) + elsewhere, elsewhere);
  };
  const auto& keys = job_keys();
  const auto key =
      std::min_element(keys.begin(), keys.end(),
                       [&](const JobKey& a, const JobKey& b) { return distance(a) < distance(b); });
  if (key->section == section) return fmt::format("\"{}\"", key->name);
  return fmt::format("\"{}\" of [{}]", key->name, key->section);
}

}  // namespace actsweep
