#include "model/config.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/error.h"

namespace actsweep {

using nlohmann::json;

Config::Config(json values, std::string path) : values_(std::move(values)), path_(std::move(path)) {
  require(values_.is_object(), ErrorKind::kModel, "{}: expected a JSON object, found {}", path_,
          values_.type_name());
}

bool Config::has(const std::string& key) const {
  const auto found = values_.find(key);
  return found != values_.end() && !found->is_null();
}

const json& Config::at(const std::string& key) const {
  require(has(key), ErrorKind::kModel, "{}: \"{}{}\" is missing", path_, prefix_, key);
  return values_.at(key);
}

void Config::refuse(const std::string& key, const std::string& expected) const {
  fail(ErrorKind::kModel, "{}: \"{}{}\": expected {}, found {}", path_, prefix_, key, expected,
       at(key).dump());
}

int64_t Config::positive(const std::string& key) const {
  const auto& value = at(key);
  if (!value.is_number_integer() || value.get<int64_t>() < 1) refuse(key, "a positive integer");
  return value.get<int64_t>();
}

int64_t Config::positive_or(const std::string& key, int64_t fallback) const {
  return has(key) ? positive(key) : fallback;
}

double Config::number(const std::string& key) const {
  const auto& value = at(key);
  if (!value.is_number()) refuse(key, "a number");
  return value.get<double>();
}

double Config::number_or(const std::string& key, double fallback) const {
  return has(key) ? number(key) : fallback;
}

bool Config::flag_or(const std::string& key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!at(key).is_boolean()) refuse(key, "true or false");
  return at(key).get<bool>();
}

std::string Config::text(const std::string& key) const {
  const auto& value = at(key);
  if (!value.is_string()) refuse(key, "a string");
  return value.get<std::string>();
}

std::string Config::text_or(const std::string& key, const std::string& fallback) const {
  return has(key) ? text(key) : fallback;
}

std::string Config::one_of(const std::string& key,
                           std::initializer_list<const char*> supported) const {
  const auto value = text(key);
  std::string known;
  for (const char* choice : supported) {
    if (value == choice) return value;
    known += fmt::format("{}\"{}\"", known.empty() ? "" : ", ", choice);
  }
  refuse(key, "one of " + known);
}

Config Config::section(const std::string& key) const {
  if (!at(key).is_object()) refuse(key, "an object");
  Config section(at(key), path_);
  section.prefix_ = prefix_ + key + ".";
  return section;
}

Config read_config(const std::string& directory) {
  const auto path = (std::filesystem::path(directory) / "config.json").string();
  std::ifstream file(path);
  require(file.good(), ErrorKind::kModel,
          "{}: cannot be read; [model] path names a Hugging Face checkpoint directory", path);
  std::stringstream text;
  text << file.rdbuf();
  const auto values = json::parse(text.str(), nullptr, false);
  require(!values.is_discarded(), ErrorKind::kModel, "{}: is not JSON", path);
  Config config(values, path);
  require(!config.has("quantization_config"), ErrorKind::kModel,
          "{}: \"quantization_config\": a quantised checkpoint is not supported; expected float32, "
          "bfloat16 or float16 weights",
          path);
  return config;
}

Rope read_rope(const Config& config) {
  Rope rope;
  // transformers 5 writes rope_parameters; files written before it have rope_theta and
  // rope_scaling.
  const bool is_new = config.has("rope_parameters");
  rope.theta = config.number_or("rope_theta", rope.theta);
  if (!is_new && !config.has("rope_scaling")) return rope;
  const auto scaling = config.section(is_new ? "rope_parameters" : "rope_scaling");
  rope.theta = scaling.number_or("rope_theta", rope.theta);
  const char* key = !scaling.has("rope_type") && scaling.has("type") ? "type" : "rope_type";
  const auto type = scaling.one_of(key, {"default", "linear", "llama3"});
  if (type == "default") return rope;
  rope.factor = scaling.number("factor");
  rope.scaling = type == "linear" ? RopeScaling::kLinear : RopeScaling::kLlama3;
  if (rope.scaling == RopeScaling::kLinear) return rope;
  rope.low_frequency = scaling.number("low_freq_factor");
  rope.high_frequency = scaling.number("high_freq_factor");
  rope.original_length = scaling.number("original_max_position_embeddings");
  require(rope.low_frequency < rope.high_frequency, ErrorKind::kModel,
          "{}: llama3 rope scaling: expected low_freq_factor < high_freq_factor, found {} and {}",
          config.path(), rope.low_frequency, rope.high_frequency);
  return rope;
}

Architecture read_decoder_facts(const Config& config) {
  Architecture facts;
  facts.family = config.text("model_type");
  facts.name = config.text_or("_name_or_path", "");
  facts.layers = config.positive("num_hidden_layers");
  facts.channels = config.positive("hidden_size");
  facts.heads = config.positive("num_attention_heads");
  facts.kv_heads = config.positive_or("num_key_value_heads", facts.heads);
  require(
      facts.heads % facts.kv_heads == 0, ErrorKind::kModel,
      "{}: expected num_attention_heads to be a multiple of num_key_value_heads, found {} and {}",
      config.path(), facts.heads, facts.kv_heads);
  require(config.has("head_dim") || facts.channels % facts.heads == 0, ErrorKind::kModel,
          "{}: expected hidden_size to be a multiple of num_attention_heads where \"head_dim\" is "
          "missing, found {} and {}",
          config.path(), facts.channels, facts.heads);
  facts.head_width = config.positive_or("head_dim", facts.channels / facts.heads);
  require(facts.head_width % 2 == 0, ErrorKind::kModel,
          "{}: rotary positions need an even head width, found {}", config.path(),
          facts.head_width);
  facts.ffn_width = config.positive("intermediate_size");
  facts.vocabulary = config.positive("vocab_size");
  facts.max_positions = config.positive_or("max_position_embeddings", 0);
  facts.norm_epsilon = config.number("rms_norm_eps");
  facts.rope = read_rope(config);
  facts.window.assign(facts.layers, 0);
  config.one_of("hidden_act", {"silu"});
  return facts;
}

}  // namespace actsweep
