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

#include "job/intervention_keys.h"
#include "job/token_sample.h"
#include "job/token_selector.h"

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

/// Whether a key takes a list and also a value alone.
bool takes_both(ValueKind kind) {
  return kind == ValueKind::kIntegersOrWord || kind == ValueKind::kTexts;
}

bool takes_integers(ValueKind kind) {
  return kind == ValueKind::kIntegers || kind == ValueKind::kIntegersOrWord;
}

bool is_list(ValueKind kind) {
  return kind == ValueKind::kWords || kind == ValueKind::kNames || takes_integers(kind) ||
         takes_both(kind);
}

bool is_integer_from(int64_t least, int64_t most, const nlohmann::json& value) {
  return value.is_number_integer() && value.get<int64_t>() >= least && value.get<int64_t>() <= most;
}

bool fits_list_entry(const JobKey& key, const nlohmann::json& entry) {
  if (takes_integers(key.kind)) return is_integer_from(key.least, key.most, entry);
  if (!entry.is_string()) return false;
  if (key.kind == ValueKind::kTexts) return !entry.get<std::string>().empty();
  return key.kind == ValueKind::kWords ? contains(key.words, entry)
                                       : is_name(entry.get<std::string>());
}

/// Whether a value of a key that is no list is one that the key takes.
bool fits(const JobKey& key, const nlohmann::json& value) {
  switch (key.kind) {
    case ValueKind::kText:
    case ValueKind::kTexts:
      return value.is_string() && !value.get<std::string>().empty();
    case ValueKind::kWord:
      return value.is_string() && contains(key.words, value);
    case ValueKind::kShard:
      return value.is_string() && parse_shard(value.get<std::string>()).has_value();
    case ValueKind::kInteger:
      return is_integer_from(key.least, key.most, value);
    case ValueKind::kNumber:
      return value.is_number() && std::isfinite(value.get<double>()) && value.get<double>() > 0;
    case ValueKind::kReal:
      return value.is_number() &&
             std::abs(value.get<double>()) <= std::numeric_limits<float>::max();
    case ValueKind::kName:
      return value.is_string() && is_name(value.get<std::string>());
    case ValueKind::kIntegerOrWord:
      return is_integer_from(key.least, key.most, value) ||
             (value.is_string() && contains(key.words, value));
    case ValueKind::kTokens:
      return value.is_string() && parse_tokens(value.get<std::string>()).has_value();
    case ValueKind::kSample:
      return value.is_string() && parse_sample(value.get<std::string>()).has_value();
    case ValueKind::kFlag:
      return value.is_boolean();
    case ValueKind::kIntegersOrWord:
      return value.is_string() && contains(key.words, value);
    case ValueKind::kWords:
    case ValueKind::kNames:
    case ValueKind::kIntegers:
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
  if (key.kind == ValueKind::kTexts) return "a string that is not empty";
  if (key.kind == ValueKind::kNames) return "a name of letters, digits, _ and -";
  if (takes_integers(key.kind)) {
    return fmt::format("an integer of at least {}", key.least);
  }
  return one_of(key.words);
}

std::vector<std::string> problems_of_list(const JobKey& key, const nlohmann::json& list) {
  if (!list.is_array()) return {refusal(expected_of(key), list, key.reason)};
  if (list.empty() && takes_both(key.kind)) return {"the list is empty"};
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

/// Of the sections, then of the tables.
std::vector<const JobKey*> keys_of_all() {
  std::vector<const JobKey*> all;
  for (const auto& key : job_keys()) all.push_back(&key);
  for (const auto& key : intervention_keys()) all.push_back(&key);
  return all;
}

std::string bracketed(const std::string& section) {
  return section == kInterventionSection ? "[[" + section + "]]" : "[" + section + "]";
}

}  // namespace

std::string expected_of(const JobKey& key) {
  switch (key.kind) {
    case ValueKind::kText:
      return "a string that is not empty";
    case ValueKind::kTexts:
      return "a string that is not empty, or a list of such";
    case ValueKind::kWord:
      return one_of(key.words);
    case ValueKind::kShard:
      return fmt::format("\"i/n\" with 0 <= i < n <= {}", kMostShards);
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
    case ValueKind::kName:
      return "a name of letters, digits, _ and -";
    case ValueKind::kReal:
      return "a number that float32 holds";
    case ValueKind::kIntegerOrWord:
      return fmt::format("an integer of at least {}, or {}", key.least, one_of(key.words));
    case ValueKind::kIntegers:
      return fmt::format("a list of integers of at least {}", key.least);
    case ValueKind::kIntegersOrWord:
      return fmt::format("a list of integers of at least {}, or {}", key.least, one_of(key.words));
    case ValueKind::kTokens:
      return "\"position:N\", or " + one_of(key.words);
    case ValueKind::kSample:
      return "\"random:P\" with 0 < P <= 1, or " + one_of(key.words);
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
  const bool is_alone = takes_both(key.kind) && !value.is_array();
  if (is_list(key.kind) && !is_alone) return problems_of_list(key, value);
  if (fits(key, value)) return {};
  return {refusal(expected_of(key), value, key.reason)};
}

std::string nearest_section(const std::string& section) {
  const auto keys = keys_of_all();
  const auto nearest = std::min_element(keys.begin(), keys.end(), [&](auto* a, auto* b) {
    return edit_distance(section, a->section) < edit_distance(section, b->section);
  });
  return bracketed((*nearest)->section);
}

std::string nearest_key(const std::string& section, const std::string& name) {
  // A key of another section counts as one letter farther, and loses a tie.
  const auto distance = [&](const JobKey& key) {
    const size_t elsewhere = key.section == section ? 0 : 1;
    return std::pair(edit_distance(name, key.name) + elsewhere, elsewhere);
  };
  const auto keys = keys_of_all();
  const auto* key = *std::min_element(
      keys.begin(), keys.end(), [&](auto* a, auto* b) { return distance(*a) < distance(*b); });
  if (key->section == section) return fmt::format("\"{}\"", key->name);
  return fmt::format("\"{}\" of {}", key->name, bracketed(key->section));
}

}  // namespace actsweep
