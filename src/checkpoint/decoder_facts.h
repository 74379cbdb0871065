// What the readers of decoder families share: sizes, activations, windows, experts.
//
// In: a config.json whose missing keys have their defaults. Out: parts of an Architecture. Keys
// differ from family to family. Refuses (ErrorKind::kModel) as Config does.
#pragma once

#include "checkpoint/architecture.h"
#include "checkpoint/config.h"

namespace actsweep {

/// What the classes of transformers declare from which other families' differ in some keys.
ConfigKeys llama_keys();
ConfigKeys mistral_keys();
ConfigKeys qwen2_keys();
ConfigKeys qwen2_moe_keys();
ConfigKeys cohere_keys();
ConfigKeys qwen3_next_keys();
ConfigKeys gemma_keys();
ConfigKeys gptj_keys();
ConfigKeys gemma2_keys();
ConfigKeys bert_keys();
ConfigKeys olmo2_keys();

/// The keys of a family's sizes; empty where it has none.
struct SizeKeys {
  std::string layers = "num_hidden_layers";
  std::string channels = "hidden_size";
  std::string heads = "num_attention_heads";     // empty: no layer has attention
  std::string kv_heads = "num_key_value_heads";  // null: as many as heads
  std::string head_width = "head_dim";           // missing or null: C / H
  std::string ffn_width = "intermediate_size";
  std::string positions = "max_position_embeddings";
  std::string vocabulary = "vocab_size";
};

/// Sizes, with all layers unwindowed and without rotary positions.
Architecture read_sizes(const Config& config, const SizeKeys& keys = {});

/// The same config with the channels under the name that they have today: "n_embed" of old files
/// counts unless it is null.
Config with_old_channels(const Config& config);

/// A refusal unless heads are a multiple of key/value heads, of which `key` says how many.
void check_heads(const Config& config, const Architecture& facts, const std::string& key);

/// A refusal unless channels are a multiple of heads, where a family's class asks for it although
/// the width of a head is given.
void check_channels_of_heads(const Config& config, const Architecture& facts);

/// A refusal of a head width other than C / H, for families that have no other.
void check_head_width(const Config& config, const Architecture& facts);

/// By what a model multiplies its rows.
double read_factor(const Config& config, const std::string& key);

/// LayerNorm on each head of query and key, where the flag says so.
void read_head_norms(const Config& config, Architecture& facts, const std::string& key);

/// An activation by the names that published configs use.
Activation read_activation(const Config& config, const std::string& key);

/// By layer: true where `layer_types` says "sliding_attention"; empty where there is no such key.
std::vector<bool> read_sliding_layers(const Config& config, const Architecture& facts);

/// The same without a list: true but for every `period`-th layer.
std::vector<bool> all_but_every(int64_t period, int64_t layers);

/// By `layer_types`, else all but every n-th: n by `sliding_window_pattern`, else `period`.
std::vector<bool> read_patterned_layers(const Config& config, const Architecture& facts,
                                        int64_t period);

/// Rotary positions, the first of the ropes, on some layers; none on the others.
void rotate_layers(Architecture& facts, const std::vector<bool>& rotates);

/// The window of the layers that slide; null is refused where one does.
void use_sliding_window(const Config& config, Architecture& facts, const std::vector<bool>& slides);

/// The windows of Gemma 2 and gpt-oss: by `layer_types`, else every other layer from the first.
void read_alternating_windows(const Config& config, Architecture& facts);

/// The windows of Qwen2 and Qwen3: by `layer_types`, else from layer max_window_layers up; none
/// unless `use_sliding_window` is true.
void read_upper_windows(const Config& config, Architecture& facts);

/// Layers that slide without `use_sliding_window` are refused: transformers has no window for them.
void check_unused_windows(const Config& config, const std::vector<bool>& slides);

/// A window on all layers, where the key is not null.
void read_window(const Config& config, Architecture& facts);

/// A refusal unless the router can choose as many experts as it is asked for; `count` and `chosen`
/// are the keys in the words of the message.
void check_experts(const Config& config, const Architecture& facts,
                   const std::string& count = R"("num_experts" or "num_local_experts")",
                   const std::string& chosen = "num_experts_per_tok");

/// Experts in place of every layer's MLP, as many as `count` says, the weights of the chosen ones
/// adding up to 1: those of Mixtral and gpt-oss.
void read_experts_of_all_layers(const Config& config, Architecture& facts,
                                const std::string& count = "num_local_experts");

}  // namespace actsweep
