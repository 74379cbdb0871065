// What the readers of decoder families share: sizes, activations, norms, rotary positions, windows.
//
// In: a config.json. Out: parts of an Architecture. Keys differ from family to family, and so do
// their defaults: a family names both. Refuses (ErrorKind::kModel) as Config does.
#pragma once

#include "model/architecture.h"
#include "model/config.h"

namespace actsweep {

/// The keys of a family's sizes; empty where it has none.
struct SizeKeys {
  std::string layers = "num_hidden_layers";
  std::string channels = "hidden_size";
  std::string heads = "num_attention_heads";
  std::string kv_heads = "num_key_value_heads";  // missing: as many as heads
  std::string head_width = "head_dim";           // missing: C / H
  std::string ffn_width = "intermediate_size";
  std::string positions = "max_position_embeddings";
  std::string vocabulary = "vocab_size";
};

/// Sizes, with all layers unwindowed and without rotary positions.
Architecture read_sizes(const Config& config, const SizeKeys& keys = {});

/// A refusal unless heads are a multiple of key/value heads, for families that set them themselves.
void check_heads(const Config& config, const Architecture& facts);

/// An activation by the names that published configs use.
Activation read_activation(const Config& config, const std::string& key,
                           const std::string& fallback = "");

/// The keys of rotary positions and what they are where missing.
struct RopeKeys {
  double theta = 10000;
  double fraction = 1;  // of a head's channels that are rotated
  std::string theta_key = "rope_theta";
  std::string fraction_key = "partial_rotary_factor";
};

/// From `rope_parameters`, or from `rope_theta` and `rope_scaling`.
Rope read_rope(const Config& config, const Architecture& facts, const RopeKeys& keys = {});

/// From one object of rope parameters; `config` is the whole, whose lengths are the defaults.
Rope read_rope_section(const Config& config, const Config& section, const Architecture& facts,
                       const RopeKeys& keys = {});

/// One rope for all layers.
void use_rope(Architecture& facts, Rope rope);

/// By layer: true where `layer_types` says "sliding_attention"; empty where there is no such key.
std::vector<bool> read_sliding_layers(const Config& config, const Architecture& facts);

/// The window of the layers that slide.
void use_window(Architecture& facts, const std::vector<bool>& slides, int64_t window);

/// The windows of Qwen2 and Qwen3: by `layer_types`, else from layer max_window_layers up; none
/// unless `use_sliding_window` is true.
void read_upper_windows(const Config& config, Architecture& facts);

/// A refusal unless the router can choose as many experts as it is asked for.
void check_experts(const Config& config, const Architecture& facts);

/// A window on all layers, where the key is there and not null.
void read_window(const Config& config, Architecture& facts);

}  // namespace actsweep
