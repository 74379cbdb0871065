// How the values of keys get into a `Job` and out of it, by the type of the member.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "job/keys.h"

namespace actsweep {

// The words of each enumeration, in the order of its enumerators.
constexpr auto words_of(Dtype) { return std::array{"float32", "bfloat16", "float16"}; }
constexpr auto words_of(WindowPolicy) { return std::array{"packed", "per_document"}; }
constexpr auto words_of(BosPolicy) { return std::array{"none", "each_window"}; }
constexpr auto words_of(WeightMode) { return std::array{"resident", "streamed"}; }
constexpr auto words_of(Classes) { return std::array{"token", "role"}; }
constexpr auto words_of(PerToken) { return std::array{"all", "massive", "none"}; }
constexpr auto words_of(RowLayout) { return std::array{"packed", "linked"}; }
constexpr auto words_of(Site) {
  return std::array{
      "residual", "attention_input", "q_latent",         "kv_latent",    "query",     "key",
      "value",    "attention_heads", "attention_output", "state_output", "mlp_input", "gate",
      "up",       "mlp_hidden",      "mlp_output",       "final_norm"};
}

constexpr auto words_of(NumberFormat) {
  return std::array{"int8_token", "fp8_e4m3_token", "mxfp8_e4m3", "mxfp4", "nvfp4"};
}

template <typename Enum>
std::vector<std::string> all_words() {
  const auto words = words_of(Enum{});
  return {words.begin(), words.end()};
}

template <typename Enum>
const char* word_of(Enum value) {
  return words_of(value).at(static_cast<size_t>(value));
}

template <typename Value>
nlohmann::json to_json_value(const Value& value) {
  if constexpr (std::is_enum_v<Value>) {
    return word_of(value);
  } else {
    return value;
  }
}

template <typename Enum>
requires std::is_enum_v<Enum> nlohmann::json to_json_value(const std::vector<Enum>& words) {
  auto json = nlohmann::json::array();
  for (const Enum word : words) json.push_back(word_of(word));
  return json;
}

inline nlohmann::json to_json_value(const Job::Shard& shard) {
  return fmt::format("{}/{}", shard.index, shard.count);
}

template <typename Value>
nlohmann::json to_json_value(const std::optional<Value>& value) {
  return value ? to_json_value(*value) : nlohmann::json();
}

template <typename Value>
void from_json_value(const nlohmann::json& json, Value& value) {
  if constexpr (std::is_enum_v<Value>) {
    const auto words = words_of(Value{});
    const auto word = std::find(words.begin(), words.end(), json.get<std::string>());
    ensure(word != words.end(), "a checked word is one of the enumeration's");
    value = static_cast<Value>(word - words.begin());
  } else {
    value = json.get<Value>();
  }
}

template <typename Enum>
requires std::is_enum_v<Enum>
void from_json_value(const nlohmann::json& json, std::vector<Enum>& words) {
  words.clear();
  for (const auto& word : json) from_json_value(word, words.emplace_back());
}

inline void from_json_value(const nlohmann::json& json, Job::Shard& shard) {
  shard = parse_shard(json.get<std::string>()).value();
}

template <typename Value>
void from_json_value(const nlohmann::json& json, std::optional<Value>& value) {
  from_json_value(json, value.emplace());
}

template <typename Section, typename Value>
KeyAccess member(Section Job::*section, Value Section::*value) {
  return {
      [=](const Job& job) { return to_json_value(job.*section.*value); },
      [=](Job& job, const nlohmann::json& json) { from_json_value(json, job.*section.*value); }};
}

/// The keys of [statistics].
std::vector<JobKey> statistics_keys();
/// Those of [store].
std::vector<JobKey> store_keys();

}  // namespace actsweep
