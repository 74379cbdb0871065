#include "checkpoint/wrapper.h"

#include <algorithm>

#include "base/error.h"

namespace actsweep {
namespace {

const char* const kText = "text_config";
const char* const kVision = "vision_config";
const char* const kType = "model_type";
const char* const kTies = "tie_word_embeddings";
const std::string kModel = "model.";

const Wrapper* wrapper_of(const Config& config) {
  const auto type = config.text_or(kType, "");
  const auto& all = wrappers();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const Wrapper& each) { return type == each.model_type; });
  return found == all.end() ? nullptr : &*found;
}

/// transformers ties the head by the key beside the sections, which old files have within them.
void set_ties(const Wrapper& wrapper, const Config& config, Config& text) {
  const ConfigKeys keys = {{{kTies, wrapper.ties_type, wrapper.ties_embeddings}}};
  const bool ties = config.declared(keys).flag(kTies);
  const bool is_written = text.contains(kTies);
  if (is_written && !text.values().at(kTies).is_boolean()) text.refuse(kTies, "true or false");
  if (wrapper.ties_as_text && is_written && text.flag(kTies)) return;
  text.set(kTies, ties, kTies);
}

/// The section of a part, as an object.
Config section_of(const Wrapper& wrapper, const Config& config, const char* key,
                  const char* content) {
  if (config.has(key)) return config.section(key);
  fail(ErrorKind::kModel, "{}: \"{}\": expected an object with the {} of a \"{}\", found {}",
       config.path(), key, content, wrapper.model_type, config.contains(key) ? "null" : "nothing");
}

/// Text alone is no prefix, whatever is said of one. transformers knows no other language models.
void see_causally(Config& text) {
  const std::string key = "use_bidirectional_attention";
  text.one_of(kType, {"gemma", "gemma2", "gemma3_text"});
  if (text.flag_or(key, false)) text.set(key, false, std::string(kText) + "." + key);
}

Config text_of(const Wrapper& wrapper, const Config& config) {
  const bool is_flat = !config.has(kText) && wrapper.may_be_flat;
  auto text = is_flat ? config : section_of(wrapper, config, kText, "language model");
  if (is_flat || wrapper.has_own_text || !text.contains(kType)) {
    text.set(kType, wrapper.text_type, kType);
  }
  set_ties(wrapper, config, text);
  if (wrapper.sees_prefix_whole) see_causally(text);
  return text;
}

Config vision_of(const Wrapper& wrapper, const Config& config) {
  auto vision = section_of(wrapper, config, kVision, "vision tower");
  if (wrapper.has_own_tower || !vision.contains(kType)) {
    vision.set(kType, wrapper.vision_type, std::string(kVision) + "." + kType);
  }
  return vision;
}

/// Under each name that the classes have for it; where the file names no image, by the class.
std::vector<int64_t> image_tokens_of(const Wrapper& wrapper, const Config& config) {
  std::vector<int64_t> tokens;
  bool is_said = false;
  for (const char* key :
       {"image_token_id", "image_token_index", "video_token_id", "video_token_index"}) {
    if (!config.has(key)) continue;
    if (!config.values().at(key).is_number_integer()) config.refuse(key, "the id of a token");
    tokens.push_back(config.values().at(key).get<int64_t>());
    is_said = is_said || std::string(key).starts_with("image");
  }
  if (!is_said) tokens.insert(tokens.begin(), wrapper.image_token);
  return tokens;
}

/// The module that a part is, below the whole or below its "model".
std::string module_of(const ModelPart& part) {
  return part.is_vision ? part.wrapper->tower_module : part.wrapper->text_module;
}

/// Whether a stored tensor is of a module, below the whole or below its "model".
bool is_of(const std::string& module, const std::string& stored) {
  return stored.starts_with(module) || stored.starts_with(kModel + module);
}

std::string without(const std::string& prefix, const std::string& name) {
  return name.starts_with(prefix) ? name.substr(prefix.size()) : name;
}

}  // namespace

ModelPart part_of(const Config& config, Reading reading) {
  const auto* wrapper = wrapper_of(config);
  const bool is_vision = reading != Reading::kText;
  const bool has_projector = reading == Reading::kImagesInText;
  if (wrapper == nullptr) {
    if (has_projector) config.refuse(kType, "a model of several parts, which reads images in text");
    return {config, nullptr, is_vision};
  }
  config.only("per_layer_config", nullptr);
  for (const char* key : {kText, kVision}) (void)config.section(key);  // neither is a number, say
  if (is_vision) return {vision_of(*wrapper, config), wrapper, true, has_projector};
  return {text_of(*wrapper, config), wrapper, false, false, image_tokens_of(*wrapper, config)};
}

std::string name_of_part(const ModelPart& part, const std::string& prefix,
                         const std::string& name) {
  if (is_of_projector(part, name)) return kModel + name;
  if (!part.is_vision && part.wrapper->holds_head) return module_of(part) + name;
  const bool is_inner = part.is_vision || name.starts_with(kModel);
  return is_inner ? kModel + module_of(part) + without(part.is_vision ? prefix : kModel, name)
                  : name;
}

std::vector<std::string> stored_names(const ModelPart& part, const std::string& prefix,
                                      const std::string& name) {
  if (is_of_projector(part, name)) return {name, kModel + name};
  const auto module = module_of(part), bare = without(prefix, name);
  std::vector<std::string> names = {module + name, kModel + module + bare};
  if (bare != name) names.push_back(module + bare);
  names.push_back(part.is_vision ? kModel + module + name : name);
  return names;
}

std::string own_name(const ModelPart& part, const std::string& stored) {
  const auto module = module_of(part);
  if (stored.starts_with(module)) return stored.substr(module.size());
  const auto inner = kModel + module;
  if (!stored.starts_with(inner)) return stored;
  return (part.is_vision ? "" : kModel) + stored.substr(inner.size());
}

bool is_of_projector(const ModelPart& part, const std::string& stored) {
  return part.has_projector && is_of(part.wrapper->projector_module, stored);
}

bool is_beside(const ModelPart& part, const std::string& stored) {
  if (is_of_projector(part, stored)) return false;
  const auto begins = [&](const std::string& module) { return is_of(module, stored); };
  const auto& others = part.wrapper->beside;
  return part.is_vision ? !begins(part.wrapper->tower_module)
                        : std::any_of(others.begin(), others.end(), begins);
}

}  // namespace actsweep
