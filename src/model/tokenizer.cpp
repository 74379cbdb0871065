#include "model/tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/sha256.h"

namespace actsweep {
namespace {

using nlohmann::json;

/// Merges as pairs, whether the file has pairs or texts with a space between.
json paired(const json& merges) {
  json pairs = json::array();
  for (const auto& merge : merges) {
    if (!merge.is_string()) {
      pairs.push_back(merge);
      continue;
    }
    const auto text = merge.get<std::string>();
    const auto space = text.find(' ');
    pairs.push_back({text.substr(0, space), text.substr(space + 1)});
  }
  return pairs;
}

/// [[id, content, special], ...] by id.
json added_tokens(const json& content) {
  json added = json::array();
  for (const auto& token : content.value("added_tokens", json::array())) {
    added.push_back({token.at("id"), token.at("content"), token.at("special")});
  }
  std::sort(added.begin(), added.end(), [](const json& a, const json& b) { return a[0] < b[0]; });
  return added;
}

}  // namespace

std::optional<std::string> tokenizer_fingerprint(const std::string& directory) {
  const auto path = (std::filesystem::path(directory) / "tokenizer.json").string();
  std::ifstream file(path);
  if (!file) return std::nullopt;
  const auto content = json::parse(file, nullptr, false);
  require(content.is_object(), ErrorKind::kModel, "{}: is not a JSON object", path);
  const auto model = content.value("model", json::object());
  // A vocabulary with scores is a list, and texts of floating-point numbers are no ground for a
  // hash.
  if (!model.is_object() || !model.contains("vocab") || !model["vocab"].is_object()) {
    return std::nullopt;
  }
  // nlohmann sorts keys, leaves no spaces and keeps UTF-8, as the definition asks for.
  const json parts = {{"vocab", model["vocab"]},
                      {"merges", paired(model.value("merges", json::array()))},
                      {"added_tokens", added_tokens(content)}};
  Sha256 hash;
  hash.add(std::string_view(parts.dump()));
  return hash.hex();
}

}  // namespace actsweep
