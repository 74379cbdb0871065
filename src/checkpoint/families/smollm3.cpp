// SmolLM3: Llama's shape without rotary positions on every fourth layer; these layers have a
// sliding window where config.json asks for it.
#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

ConfigKeys smollm3_keys() {
  return llama_keys().but({{"vocab_size", "int", 128256},
                           {"hidden_size", "int", 2048},
                           {"num_hidden_layers", "int", 36},
                           {"num_attention_heads", "int", 16},
                           {"num_key_value_heads", "int|None", 4},
                           {"max_position_embeddings", "int", 32768},
                           {"pad_token_id", "int|None", 128004},
                           {"bos_token_id", "int|None", 128000},
                           {"eos_token_id", "int|list[int]|None", 128001},
                           {"use_sliding_window", "bool", false},
                           {"sliding_window", "int|None", nullptr},
                           {"no_rope_layers", "list[int]|None", nullptr},
                           {"no_rope_layer_interval", "int", 4},
                           {"layer_types", "list[str]|None", nullptr},
                           {"attention_dropout", "float|int", 0.0},
                           {"tie_word_embeddings", "bool", true},
                           {"head_dim", "int"}},
                          {"pretraining_tp"});
}

/// By layer: true where it has rotary positions. In `no_rope_layers` 0 stands for a layer without.
std::vector<bool> read_rotated_layers(const Config& config, const Architecture& facts) {
  const char* key = "no_rope_layers";
  if (!config.has(key)) {
    return all_but_every(config.positive("no_rope_layer_interval"), facts.layers);
  }
  const auto& values = config.values().at(key);
  if (static_cast<int64_t>(values.size()) < facts.layers) {
    config.refuse(key, fmt::format("a list of {} numbers (\"num_hidden_layers\")", facts.layers));
  }
  std::vector<bool> rotates;
  for (int64_t layer = 0; layer < facts.layers; ++layer) rotates.push_back(values[layer] != 0);
  return rotates;
}

void read_windows(const Config& config, Architecture& facts, const std::vector<bool>& rotates) {
  auto slides = read_sliding_layers(config, facts);
  if (!config.flag("use_sliding_window")) return check_unused_windows(config, slides);
  if (slides.empty() && !config.has("sliding_window")) return;
  for (int64_t layer = slides.size(); layer < facts.layers; ++layer) {
    slides.push_back(!rotates[layer]);
  }
  use_sliding_window(config, facts, slides);
}

Architecture read_smollm3(const Config& config) {
  RopeKeys keys;
  keys.theta = 2000000;
  Architecture facts = read_llama_facts(config, keys);
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.has_mlp_bias = config.flag("mlp_bias");
  const auto rotates = read_rotated_layers(config, facts);
  rotate_layers(facts, rotates);
  read_windows(config, facts, rotates);
  return facts;
}

}  // namespace

Family smollm3_family() {
  return {"smollm3",
          read_smollm3,
          llama_rows,
          {},
          "model.",
          "Llama without rotary positions on every fourth layer, or by `no_rope_layers`; a sliding "
          "window on these layers where asked",
          smollm3_keys()};
}

}  // namespace actsweep
