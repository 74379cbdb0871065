#include "model/decoder_facts.h"

#include <cmath>

#include "base/error.h"

namespace actsweep {
namespace {

/// 0.1 m ln(factor) + 1 (arXiv 2309.00071), 1 for a factor up to 1.
double yarn_magnitude(double factor, double m) {
  return factor <= 1 ? 1 : 0.1 * m * std::log(factor) + 1;
}

void read_llama3(const Config& config, const Config& section, Rope& rope) {
  rope.factor = section.number("factor");
  rope.low_frequency = section.number("low_freq_factor");
  rope.high_frequency = section.number("high_freq_factor");
  rope.original_length = section.number("original_max_position_embeddings");
  require(rope.low_frequency < rope.high_frequency, ErrorKind::kModel,
          "{}: llama3 rope scaling: expected low_freq_factor < high_freq_factor, found {} and {}",
          config.path(), rope.low_frequency, rope.high_frequency);
}

void read_yarn(const Config& config, const Config& section, Rope& rope) {
  const double longest = config.number("max_position_embeddings");
  rope.original_length = section.number_or("original_max_position_embeddings", longest);
  rope.factor = section.number_or("factor", longest / rope.original_length);
  rope.beta_fast = section.number_or("beta_fast", 32);
  rope.beta_slow = section.number_or("beta_slow", 1);
  rope.rounds_range = section.flag_or("truncate", true);
  double magnitude = yarn_magnitude(rope.factor, 1);
  if (section.number_or("mscale", 0) != 0 && section.number_or("mscale_all_dim", 0) != 0) {
    magnitude = yarn_magnitude(rope.factor, section.number("mscale")) /
                yarn_magnitude(rope.factor, section.number("mscale_all_dim"));
  }
  rope.attention_factor = section.number_or("attention_factor", magnitude);
}

void read_longrope(const Config& config, const Config& section, Rope& rope) {
  const char* key = "original_max_position_embeddings";
  const double longest = config.number("max_position_embeddings");
  rope.original_length = config.has(key) ? config.number(key) : section.number_or(key, longest);
  double factor = longest / rope.original_length;
  if (!config.has(key)) factor = section.number_or("factor", factor);
  const double magnitude =
      factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(rope.original_length));
  rope.attention_factor = section.number_or("attention_factor", magnitude);
  const auto pairs = static_cast<size_t>(rope.width / 2);
  rope.short_divisors = section.numbers("short_factor", pairs);
  rope.long_divisors = section.numbers("long_factor", pairs);
}

void read_scaling(const Config& config, const Config& section, Rope& rope) {
  const char* key = !section.has("rope_type") && section.has("type") ? "type" : "rope_type";
  if (!section.has(key)) return;
  const auto type =
      section.one_of(key, {"default", "linear", "dynamic", "yarn", "llama3", "longrope"});
  if (type == "linear") {
    rope.scaling = RopeScaling::kLinear;
    rope.factor = section.number("factor");
  } else if (type == "dynamic") {
    rope.scaling = RopeScaling::kDynamic;
    rope.factor = section.number("factor");
    rope.original_length = config.number("max_position_embeddings");
  } else if (type == "yarn") {
    rope.scaling = RopeScaling::kYarn;
    read_yarn(config, section, rope);
  } else if (type == "llama3") {
    rope.scaling = RopeScaling::kLlama3;
    read_llama3(config, section, rope);
  } else if (type == "longrope") {
    rope.scaling = RopeScaling::kLongRope;
    read_longrope(config, section, rope);
  }
}

}  // namespace

void check_heads(const Config& config, const Architecture& facts) {
  require(facts.kv_heads > 0 && facts.heads % facts.kv_heads == 0, ErrorKind::kModel,
          "{}: expected the number of attention heads to be a multiple of that of key/value heads, "
          "found {} and {}",
          config.path(), facts.heads, facts.kv_heads);
}

Architecture read_sizes(const Config& config, const SizeKeys& keys) {
  Architecture facts;
  facts.family = config.text_or("model_type", "");
  facts.name = config.text_or("_name_or_path", "");
  facts.layers = config.positive(keys.layers);
  facts.channels = config.positive(keys.channels);
  facts.embedding_width = facts.channels;
  facts.heads = config.positive(keys.heads);
  facts.kv_heads =
      keys.kv_heads.empty() ? facts.heads : config.positive_or(keys.kv_heads, facts.heads);
  check_heads(config, facts);
  const bool has_width = !keys.head_width.empty() && config.has(keys.head_width);
  require(has_width || facts.channels % facts.heads == 0, ErrorKind::kModel,
          "{}: expected {} to be a multiple of {} where no head width is given, found {} and {}",
          config.path(), keys.channels, keys.heads, facts.channels, facts.heads);
  facts.head_width = has_width ? config.positive(keys.head_width) : facts.channels / facts.heads;
  if (!keys.ffn_width.empty()) facts.ffn_width = config.positive(keys.ffn_width);
  if (!keys.vocabulary.empty()) facts.vocabulary = config.positive(keys.vocabulary);
  if (!keys.positions.empty()) facts.max_positions = config.positive_or(keys.positions, 0);
  facts.window.assign(facts.layers, 0);
  facts.rope_of_layer.assign(facts.layers, -1);
  return facts;
}

Activation read_activation(const Config& config, const std::string& key,
                           const std::string& fallback) {
  if (!config.has(key) && !fallback.empty()) {
    return read_activation(Config(nlohmann::json{{key, fallback}}, config.path()), key);
  }
  const auto name = config.one_of(key, {"silu", "swish", "gelu", "gelu_new", "gelu_pytorch_tanh",
                                        "gelu_fast", "relu", "quick_gelu"});
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "gelu") return Activation::kGelu;
  if (name == "quick_gelu") return Activation::kQuickGelu;
  return name == "relu" ? Activation::kRelu : Activation::kGeluTanh;
}

Rope read_rope_section(const Config& config, const Config& section, const Architecture& facts,
                       const RopeKeys& keys) {
  Rope rope;
  rope.theta = section.number_or(keys.theta_key, config.number_or(keys.theta_key, keys.theta));
  rope.theta = section.number_or("rope_theta", rope.theta);
  const double fraction = section.number_or("partial_rotary_factor",
                                            config.number_or(keys.fraction_key, keys.fraction));
  rope.width = static_cast<int64_t>(static_cast<double>(facts.head_width) * fraction);
  require(rope.width > 0 && rope.width <= facts.head_width && rope.width % 2 == 0,
          ErrorKind::kModel,
          "{}: rotary positions need an even number of channels of a head, found {} of {}",
          config.path(), rope.width, facts.head_width);
  read_scaling(config, section, rope);
  return rope;
}

Rope read_rope(const Config& config, const Architecture& facts, const RopeKeys& keys) {
  // transformers 5 writes rope_parameters; files written before it have rope_theta and
  // rope_scaling.
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (config.has(key)) return read_rope_section(config, config.section(key), facts, keys);
  }
  return read_rope_section(config, Config(nlohmann::json::object(), config.path()), facts, keys);
}

void use_rope(Architecture& facts, Rope rope) {
  facts.ropes = {std::move(rope)};
  facts.rope_of_layer.assign(facts.layers, 0);
}

std::vector<bool> read_sliding_layers(const Config& config, const Architecture& facts) {
  if (!config.has("layer_types")) return {};
  const auto& types = config.values().at("layer_types");
  require(types.is_array() && static_cast<int64_t>(types.size()) == facts.layers, ErrorKind::kModel,
          "{}: \"layer_types\": expected {} entries, found {}", config.path(), facts.layers,
          types.size());
  std::vector<bool> slides;
  for (const auto& type : types) {
    require(type == "sliding_attention" || type == "full_attention", ErrorKind::kModel,
            "{}: \"layer_types\": expected \"full_attention\" or \"sliding_attention\", found {}",
            config.path(), type.dump());
    slides.push_back(type == "sliding_attention");
  }
  return slides;
}

void use_window(Architecture& facts, const std::vector<bool>& slides, int64_t window) {
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    facts.window[layer] = slides[layer] ? window : 0;
  }
}

void read_upper_windows(const Config& config, Architecture& facts) {
  if (!config.flag_or("use_sliding_window", false)) return;
  auto slides = read_sliding_layers(config, facts);
  const int64_t first = slides.empty() ? config.positive("max_window_layers") : 0;
  for (int64_t layer = slides.size(); layer < facts.layers; ++layer) {
    slides.push_back(layer >= first);
  }
  use_window(facts, slides, config.positive("sliding_window"));
}

void check_experts(const Config& config, const Architecture& facts) {
  require(facts.experts.chosen <= facts.experts.count, ErrorKind::kModel,
          "{}: expected at most {} experts per token, as many as there are, found {}",
          config.path(), facts.experts.count, facts.experts.chosen);
}

void read_window(const Config& config, Architecture& facts) {
  const char* key = "sliding_window";
  if (config.has(key)) facts.window.assign(facts.layers, config.positive(key));
}

}  // namespace actsweep
