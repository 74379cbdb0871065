#include "checkpoint/decoder_facts.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace actsweep {
namespace {

/// Names of layer types that transformers knows, of whatever family.
constexpr const char* kLayerTypes[] = {"full_attention",
                                       "attention",
                                       "sliding_attention",
                                       "chunked_attention",
                                       "window_attention",
                                       "indexed_attention",
                                       "compressed_sparse_attention",
                                       "heavily_compressed_attention",
                                       "minimax_m3_sparse",
                                       "conv",
                                       "moe",
                                       "hybrid",
                                       "hybrid_sliding",
                                       "reference_sliding_attention",
                                       "linear_attention",
                                       "mamba"};

/// `layer_types` is as long as there are layers, even where a family does not go by it.
void check_layer_types(const Config& config, int64_t layers) {
  const char* key = "layer_types";
  if (!config.has(key)) return;
  const auto& types = config.values().at(key);
  if (!types.is_array() || static_cast<int64_t>(types.size()) != layers) {
    config.refuse(key, fmt::format("a list of {} layer types (\"num_hidden_layers\")", layers));
  }
  for (const auto& type : types) {
    const auto is_it = [&](const char* name) { return type == name; };
    if (std::none_of(std::begin(kLayerTypes), std::end(kLayerTypes), is_it)) {
      config.refuse(key, "layer types such as \"full_attention\"");
    }
  }
}

void read_heads(const Config& config, const SizeKeys& keys, Architecture& facts) {
  if (keys.heads.empty()) return;
  facts.heads = config.positive(keys.heads, kMostCount);
  facts.kv_heads = keys.kv_heads.empty()
                       ? facts.heads
                       : config.positive_or(keys.kv_heads, facts.heads, kMostCount);
  check_heads(config, facts, keys.kv_heads);
  const bool has_width = !keys.head_width.empty() && config.has(keys.head_width);
  require(has_width || facts.channels % facts.heads == 0, ErrorKind::kModel,
          "{}: \"{}\": expected a multiple of \"{}\" where no head width is given, found {} and {}",
          config.path(), keys.channels, keys.heads, facts.channels, facts.heads);
  facts.head_width = has_width ? config.positive(keys.head_width) : facts.channels / facts.heads;
  require(facts.head_width <= kMostSize / facts.heads, ErrorKind::kModel,
          "{}: \"{}\": expected at most {} channels of all {} heads, found {} of each",
          config.path(), keys.head_width, kMostSize, facts.heads, facts.head_width);
}

}  // namespace

Config with_old_channels(const Config& config) {
  auto changed = config;
  const char* old = "n_embed";
  if (config.has(old)) changed.set("hidden_size", config.positive(old), old);
  return changed;
}

void check_heads(const Config& config, const Architecture& facts, const std::string& key) {
  require(
      facts.kv_heads > 0 && facts.heads % facts.kv_heads == 0, ErrorKind::kModel,
      "{}: \"{}\": expected a divisor of the attention heads (\"num_attention_heads\"), found {} "
      "and {}",
      config.path(), key, facts.kv_heads, facts.heads);
}

void check_channels_of_heads(const Config& config, const Architecture& facts) {
  require(facts.channels % facts.heads == 0, ErrorKind::kModel,
          "{}: \"hidden_size\": expected a multiple of \"num_attention_heads\", found {} and {}",
          config.path(), facts.channels, facts.heads);
}

void check_head_width(const Config& config, const Architecture& facts) {
  if (config.has("head_dim")) config.only("head_dim", facts.channels / facts.heads);
}

Architecture read_sizes(const Config& config, const SizeKeys& keys) {
  Architecture facts;
  facts.family = config.text_or("model_type", "");
  facts.name = config.text_or("_name_or_path", "");
  facts.layers = config.positive(keys.layers, kMostCount);
  facts.channels = config.positive(keys.channels);
  facts.embedding_width = facts.channels;
  read_heads(config, keys, facts);
  if (!keys.ffn_width.empty()) facts.ffn_width = config.positive(keys.ffn_width);
  if (!keys.vocabulary.empty()) facts.vocabulary = config.positive(keys.vocabulary);
  if (!keys.positions.empty()) facts.max_positions = config.positive(keys.positions);
  facts.window.assign(facts.layers, 0);
  facts.rope_of_layer.assign(facts.layers, -1);
  check_layer_types(config, facts.layers);
  return facts;
}

double read_factor(const Config& config, const std::string& key) {
  constexpr double kMost = 1000;  // published ones are 0.0078 to 16
  const double factor = config.number(key);
  if (std::abs(factor) > kMost) config.refuse(key, "a factor of at most 1000");
  return factor;
}

void read_head_norms(const Config& config, Architecture& facts, const std::string& key) {
  if (!config.flag(key)) return;
  facts.query_key_norm = QueryKeyNorm::kEachHead;
  facts.query_key_norm_kind = NormKind::kLayer;
}

Activation read_activation(const Config& config, const std::string& key) {
  const auto name = config.one_of(key, {"silu", "swish", "gelu", "gelu_new", "gelu_pytorch_tanh",
                                        "gelu_fast", "relu", "quick_gelu", "relu2"});
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "gelu") return Activation::kGelu;
  if (name == "quick_gelu") return Activation::kQuickGelu;
  if (name == "relu2") return Activation::kSquaredRelu;
  return name == "relu" ? Activation::kRelu : Activation::kGeluTanh;
}

std::vector<bool> read_sliding_layers(const Config& config, const Architecture& facts) {
  const char* key = "layer_types";
  std::vector<bool> slides;
  if (!config.has(key)) return slides;
  for (const auto& type : config.values().at(key)) {
    const bool is_full = type == "full_attention" || type == "attention";
    if (!is_full && type != "sliding_attention") {
      config.refuse(key, "\"full_attention\" or \"sliding_attention\"");
    }
    slides.push_back(!is_full);
  }
  ensure(static_cast<int64_t>(slides.size()) == facts.layers, "layer types were counted");
  return slides;
}

std::vector<bool> all_but_every(int64_t period, int64_t layers) {
  std::vector<bool> found;
  for (int64_t layer = 0; layer < layers; ++layer) found.push_back((layer + 1) % period != 0);
  return found;
}

std::vector<bool> read_patterned_layers(const Config& config, const Architecture& facts,
                                        int64_t period) {
  auto slides = read_sliding_layers(config, facts);
  const char* key = "sliding_window_pattern";
  if (!slides.empty()) return slides;
  return all_but_every(config.contains(key) ? config.positive(key) : period, facts.layers);
}

void rotate_layers(Architecture& facts, const std::vector<bool>& rotates) {
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    facts.rope_of_layer[layer] = rotates[layer] ? 0 : -1;
  }
}

void use_sliding_window(const Config& config, Architecture& facts,
                        const std::vector<bool>& slides) {
  const int64_t window = config.positive("sliding_window");
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    facts.window[layer] = slides[layer] ? window : 0;
  }
}

void read_alternating_windows(const Config& config, Architecture& facts) {
  auto slides = read_sliding_layers(config, facts);
  for (int64_t layer = slides.size(); layer < facts.layers; ++layer) {
    slides.push_back(layer % 2 == 0);
  }
  use_sliding_window(config, facts, slides);
}

void check_unused_windows(const Config& config, const std::vector<bool>& slides) {
  if (std::find(slides.begin(), slides.end(), true) == slides.end()) return;
  config.refuse("layer_types", "no \"sliding_attention\" where no sliding window is used");
}

void read_upper_windows(const Config& config, Architecture& facts) {
  auto slides = read_sliding_layers(config, facts);
  if (!config.flag("use_sliding_window") || !config.has("sliding_window")) {
    return check_unused_windows(config, slides);
  }
  const auto& first = config.values().at("max_window_layers");
  for (int64_t layer = slides.size(); layer < facts.layers; ++layer) {
    slides.push_back(layer >= first);
  }
  use_sliding_window(config, facts, slides);
}

void check_experts(const Config& config, const Architecture& facts, const std::string& count,
                   const std::string& chosen) {
  require(facts.experts.chosen <= facts.experts.count, ErrorKind::kModel,
          "{}: \"{}\": expected at most the {} experts that there are ({}), found {}",
          config.path(), chosen, facts.experts.count, count, facts.experts.chosen);
}

void read_experts_of_all_layers(const Config& config, Architecture& facts,
                                const std::string& count) {
  facts.experts = {config.positive(count, kMostCount),
                   config.positive("num_experts_per_tok", kMostCount), facts.ffn_width};
  facts.experts.renormalises = true;
  facts.experts.layers.assign(facts.layers, true);
  facts.ffn_width = 0;
  check_experts(config, facts);
}

void read_window(const Config& config, Architecture& facts) {
  const char* key = "sliding_window";
  if (config.has(key)) facts.window.assign(facts.layers, config.positive(key));
}

}  // namespace actsweep
