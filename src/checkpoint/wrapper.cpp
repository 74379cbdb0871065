#include "checkpoint/wrapper.h"

#include <algorithm>

#include "base/error.h"

namespace actsweep {
namespace {

const char* const kText = "text_config";
const char* const kTies = "tie_word_embeddings";
const std::string kModel = "model.", kPart = "language_model.";

const Wrapper* wrapper_of(const Config& config) {
  const auto type = config.text_or("model_type", "");
  const auto& all = wrappers();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const Wrapper& each) { return type == each.model_type; });
  return found == all.end() ? nullptr : &*found;
}

/// transformers ties the head by the key beside the sections, which old files have within them.
void set_ties(const Wrapper& wrapper, const Config& config, Config& text) {
  const bool is_written = config.contains(kTies);  // null is false
  const bool ties = is_written ? config.flag(kTies) : wrapper.ties_embeddings;
  if (wrapper.ties_as_text && text.flag_or(kTies, false)) return;
  text.set(kTies, ties, kTies);
}

}  // namespace

const std::vector<Wrapper>& wrappers() {
  static const std::vector<std::string> tower = {"vision_tower.", "multi_modal_projector."};
  static const std::vector<std::string> visual = {"visual."};
  static const std::vector<Wrapper> list = {
      {"gemma3", "gemma3_text", true, false, false, tower},
      {"llava", "llama", false, true, false, tower},
      {"mistral3", "mistral", true, false, false, tower},
      {"qwen2_vl", "qwen2_vl_text", false, true, true, visual},
      {"qwen2_5_vl", "qwen2_5_vl_text", false, true, true, visual},
      {"qwen3_vl", "qwen3_vl_text", false, false, false, visual},
      {"qwen3_vl_moe", "qwen3_vl_moe_text", false, false, false, visual},
      {"qwen3_5", "qwen3_5_text", false, false, false, visual},
      {"qwen3_5_moe", "qwen3_5_moe_text", false, false, false, visual}};
  return list;
}

LanguageModel language_model_of(const Config& config) {
  const auto* wrapper = wrapper_of(config);
  if (wrapper == nullptr) return {config};
  const bool is_flat = !config.has(kText) && wrapper->may_be_flat;
  if (!config.has(kText) && !is_flat) {
    fail(ErrorKind::kModel,
         "{}: \"{}\": expected an object with the language model of a \"{}\", found {}",
         config.path(), kText, wrapper->model_type, config.contains(kText) ? "null" : "nothing");
  }
  auto text = is_flat ? config : config.section(kText);
  if (is_flat || !text.contains("model_type")) {
    text.set("model_type", wrapper->text_type, "model_type");
  }
  set_ties(*wrapper, config, text);
  return {text, wrapper};
}

std::string name_of_part(const std::string& name) {
  return name.starts_with(kModel) ? kModel + kPart + name.substr(kModel.size()) : name;
}

std::vector<std::string> stored_names(const std::string& name) {
  std::vector<std::string> names = {kPart + name};
  if (name.starts_with(kModel)) names.push_back(name_of_part(name));
  names.push_back(name);
  return names;
}

std::string text_name(const std::string& stored) {
  if (stored.starts_with(kPart)) return stored.substr(kPart.size());
  const auto inner = kModel + kPart;
  return stored.starts_with(inner) ? kModel + stored.substr(inner.size()) : stored;
}

bool is_beside(const Wrapper& wrapper, const std::string& stored) {
  const auto begins = [&](const std::string& module) {
    return stored.starts_with(module) || stored.starts_with(kModel + module);
  };
  return std::any_of(wrapper.beside.begin(), wrapper.beside.end(), begins);
}

}  // namespace actsweep
