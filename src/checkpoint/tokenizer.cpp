#include "checkpoint/tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/json_file.h"
#include "base/sha256.h"

namespace actsweep {
namespace {

using nlohmann::json;
using IdByToken = std::map<std::string, int64_t>;

constexpr int64_t kNoId = -1;

/// Merges as pairs, whether the file has pairs or texts with a space between.
json paired(const json& merges) {
  json pairs = json::array();
  for (const auto& merge : merges) {
    if (!merge.is_string()) {
      pairs.push_back(merge);
      continue;
    }
    json parts = json::array();
    const auto text = merge.get<std::string>();
    for (size_t begin = 0, end = 0; end != text.npos; begin = end + 1) {
      end = text.find(' ', begin);
      parts.push_back(text.substr(begin, end - begin));
    }
    pairs.push_back(std::move(parts));
  }
  return pairs;
}

/// [[id, content, special], ...] by id.
json added_tokens(const json& content, const std::string& path) {
  const auto tokens = content.value("added_tokens", json());
  require(tokens.is_null() || tokens.is_array(), ErrorKind::kModel,
          "{}: added_tokens: expected a list, found {}", path, tokens.type_name());
  json added = json::array();
  for (const auto& token : tokens) {
    const auto number = added.size() + 1;
    for (const auto* field : {"id", "content", "special"}) {
      require(token.is_object() && token.contains(field), ErrorKind::kModel,
              "{}: added_tokens, entry {}: expected \"{}\", found none", path, number, field);
    }
    require(
        token["id"].is_number_integer() && token["content"].is_string() &&
            token["special"].is_boolean(),
        ErrorKind::kModel,
        "{}: added_tokens, entry {}: expected a number \"id\", a text \"content\" and \"special\" "
        "true or false, found {}, {} and {}",
        path, number, token["id"].type_name(), token["content"].type_name(),
        token["special"].type_name());
    added.push_back({token["id"], token["content"], token["special"]});
  }
  std::sort(added.begin(), added.end());
  return added;
}

/// Adds a token that is a text or an object with one; anything else is none.
void add(const json& token, int64_t id, IdByToken& tokens) {
  const auto content = token.is_object() ? token.value("content", json()) : token;
  if (content.is_string()) tokens.emplace(content.get<std::string>(), id);
}

/// Adds the tokens of roles such as "bos_token", and those of the lists of more tokens.
void add_special_tokens(const json& table, IdByToken& tokens) {
  for (const auto& [role, token] : table.items()) {
    if (role.ends_with("_token")) add(token, kNoId, tokens);
  }
  for (const auto* key : {"additional_special_tokens", "extra_special_tokens"}) {
    for (const auto& token : table.value(key, json())) add(token, kNoId, tokens);
  }
}

json read_beside(const std::filesystem::path& directory, const char* name) {
  const auto path = directory / name;
  auto content = std::filesystem::exists(path) ? read_json_file(path, ErrorKind::kModel) : json();
  return content.is_object() ? content : json::object();
}

/// [[content, id], ...]: tokens that the files beside tokenizer.json name and `added` lacks.
json tokens_beside(const std::filesystem::path& directory, const json& added) {
  const auto settings = read_beside(directory, "tokenizer_config.json");
  IdByToken tokens;  // the first one to name a token gives the id
  const auto decoder = settings.value("added_tokens_decoder", json());
  for (const auto& [id, token] : decoder.items()) {
    add(token, std::strtoll(id.c_str(), nullptr, 10), tokens);
  }
  const auto by_token = read_beside(directory, "added_tokens.json");
  for (const auto& [token, id] : by_token.items()) {
    add(token, id.is_number_integer() ? id.get<int64_t>() : kNoId, tokens);
  }
  add_special_tokens(settings, tokens);
  add_special_tokens(read_beside(directory, "special_tokens_map.json"), tokens);
  for (const auto& token : added) tokens.erase(token[1].get<std::string>());
  json beside = json::array();
  for (const auto& [token, id] : tokens) beside.push_back({token, id});
  return beside;
}

}  // namespace

std::optional<std::string> tokenizer_fingerprint(const std::string& directory) {
  const auto path = (std::filesystem::path(directory) / "tokenizer.json").string();
  if (!std::filesystem::exists(path)) return std::nullopt;
  const auto content = read_json_file(path, ErrorKind::kModel);
  require(content.is_object(), ErrorKind::kModel, "{}: expected a JSON object, found {}", path,
          content.type_name());
  const auto model = content.value("model", json());
  // A vocabulary with scores is a list, and texts of floating-point numbers are no ground for a
  // hash.
  if (!model.is_object() || !model.contains("vocab") || !model["vocab"].is_object()) {
    return std::nullopt;
  }
  // nlohmann sorts keys, leaves no spaces and keeps UTF-8, as the definition asks for.
  const auto added = added_tokens(content, path);
  json parts = {{"vocab", model["vocab"]},
                {"merges", paired(model.value("merges", json()))},
                {"added_tokens", added}};
  auto beside = tokens_beside(directory, added);
  if (!beside.empty()) parts["tokens_beside"] = std::move(beside);
  Sha256 hash;
  hash.add(std::string_view(parts.dump()));
  return hash.hex();
}

}  // namespace actsweep
