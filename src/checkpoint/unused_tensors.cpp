#include "checkpoint/unused_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

namespace actsweep {
namespace {

constexpr size_t kMostNamed = 8;

std::vector<std::string> words_of(const std::string& name) {
  std::vector<std::string> words;
  std::istringstream stream(name);
  for (std::string word; std::getline(stream, word, '.');) words.push_back(word);
  return words;
}

bool is_number(const std::string& word) {
  return !word.empty() && std::all_of(word.begin(), word.end(),
                                      [](unsigned char c) { return c >= '0' && c <= '9'; });
}

/// With "{}" in place of the first number.
std::string of_any_layer(const std::string& name) {
  auto words = words_of(name);
  const auto number = std::find_if(words.begin(), words.end(), is_number);
  if (number != words.end()) *number = "{}";
  return fmt::format("{}", fmt::join(words, "."));
}

/// By the names that published checkpoints have, at any depth.
bool is_buffer(const std::string& name) {
  static const std::set<std::string> buffers = {
      "inv_freq",     "original_inv_freq", "cos_cached",  "sin_cached",    "masked_bias",
      "position_ids", "token_type_ids",    "causal_mask", "attention_mask"};
  static const std::set<std::string> masked = {"attn", "attention", "self_attn", "self_attention"};
  const auto words = words_of(name);
  if (words.empty()) return false;
  if (buffers.contains(words.back())) return true;
  if (words.size() < 2) return false;
  if (words.back() == "bias" && masked.contains(words[words.size() - 2])) return true;
  return std::any_of(words.begin(), words.end() - 1,
                     [](const std::string& word) { return word.starts_with("rotary_"); });
}

std::string module_of(const std::string& name) { return name.substr(0, name.rfind('.')); }

}  // namespace

UnusedTensors::UnusedTensors(const Family& family, const std::vector<TensorRow>& rows,
                             const Architecture& architecture)
    : family_(&family),
      layers_(architecture.layers),
      prediction_layers_(architecture.prediction_layers),
      image_layers_(architecture.image_layers) {
  for (const auto& row : rows) {
    for (int64_t layer = 0; row.is_of_keys && !row.constant && layer < layers_; ++layer) {
      if (!architecture.has_own_keys(layer)) keys_.insert(module_of(tensor_name(row, layer)));
    }
    const auto hole = row.name.find("{}");
    if (hole != std::string::npos) {
      layer_words_.insert(words_of(row.name.substr(0, hole)).back());
    } else if (row.name.ends_with(".weight") || row.name.ends_with(".bias")) {
      modules_.insert(module_of(row.name));
      modules_.insert(without_prefix(module_of(row.name)));
    }
  }
}

std::string UnusedTensors::without_prefix(const std::string& name) const {
  return name.starts_with(family_->prefix) ? name.substr(family_->prefix.size()) : name;
}

bool UnusedTensors::is_expected(const std::string& name) const {
  const auto general = of_any_layer(name);
  const auto is_match = [&](const std::string& pattern) {
    if (pattern.ends_with(".*")) return name.starts_with(pattern.substr(0, pattern.size() - 1));
    return name == pattern || general == pattern;
  };
  return std::any_of(family_->ignored.begin(), family_->ignored.end(), [&](const auto& pattern) {
    return is_match(pattern) || is_match(without_prefix(pattern));
  });
}

/// The layer that a tensor is of; none of one outside layers.
std::optional<int64_t> UnusedTensors::layer_of(const std::string& name) const {
  const auto words = words_of(name);
  const auto number = std::find_if(words.begin(), words.end(), is_number);
  if (number == words.begin() || number == words.end() || number->size() > 9) return std::nullopt;
  if (!layer_words_.contains(*std::prev(number))) return std::nullopt;
  return std::stoll(*number);
}

/// Of a layer behind the last.
bool UnusedTensors::is_of_prediction(const std::string& name) const {
  const auto beyond = layer_of(name).value_or(-1) - layers_;
  return beyond >= 0 && beyond < prediction_layers_;
}

bool UnusedTensors::is_of_images(const std::string& name) const {
  return std::ranges::find(image_layers_, layer_of(name).value_or(-1)) != image_layers_.end();
}

/// Of a layer that takes another layer's keys and values.
bool UnusedTensors::is_of_keys(const std::string& name) const {
  const auto module = module_of(name);
  return keys_.contains(module) || keys_.contains(family_->prefix + module);
}

bool UnusedTensors::is_of_model(const std::string& name) const {
  const auto words = words_of(name);
  for (size_t i = 1; i < words.size(); ++i) {
    if (is_number(words[i]) && layer_words_.contains(words[i - 1])) return true;
  }
  return modules_.contains(module_of(name));
}

Unused UnusedTensors::judge(const std::string& name) const {
  if (is_expected(name) || is_of_prediction(name) || is_of_images(name) || is_of_keys(name)) {
    return Unused::kExpected;
  }
  if (is_buffer(name)) return Unused::kBuffer;
  return is_of_model(name) ? Unused::kWeight : Unused::kStranger;
}

std::string UnusedTensors::list(const std::vector<std::string>& names) {
  std::set<std::string> kinds;
  for (const auto& name : names) kinds.insert(of_any_layer(name));
  std::string text;
  size_t named = 0;
  for (const auto& kind : kinds) {
    if (named++ == kMostNamed)
      return fmt::format("{} and {} more", text, kinds.size() - kMostNamed);
    text += (text.empty() ? "" : ", ") + kind;
  }
  return text;
}

}  // namespace actsweep
