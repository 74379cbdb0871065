// Qwen2 and 2.5: Llama's shape with biases on query, key and value; a sliding window on the upper
// layers where config.json asks for it.
#include "base/error.h"
#include "model/family.h"

namespace actsweep {
namespace {

/// The windows by layer: from layer_types where given, else from max_window_layers up.
void read_windows(const Config& config, Architecture& facts) {
  if (!config.flag_or("use_sliding_window", false)) return;
  const int64_t window = config.positive("sliding_window");
  if (!config.has("layer_types")) {
    const int64_t first = config.positive("max_window_layers");
    for (int64_t layer = first; layer < facts.layers; ++layer) facts.window[layer] = window;
    return;
  }
  const auto& types = config.values().at("layer_types");
  require(types.is_array() && static_cast<int64_t>(types.size()) == facts.layers, ErrorKind::kModel,
          "{}: \"layer_types\": expected {} entries, found {}", config.path(), facts.layers,
          types.size());
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    const auto& type = types.at(layer);
    require(type == "sliding_attention" || type == "full_attention", ErrorKind::kModel,
            "{}: \"layer_types\": expected \"full_attention\" or \"sliding_attention\", found {}",
            config.path(), type.dump());
    if (type == "sliding_attention") facts.window[layer] = window;
  }
}

Architecture read_qwen2(const Config& config) {
  config.positive("num_key_value_heads");  // transformers' default of 32 would be a guess here
  Architecture facts = read_decoder_facts(config);
  facts.ties_embeddings = config.flag_or("tie_word_embeddings", false);
  facts.has_qkv_bias = true;
  read_windows(config, facts);
  return facts;
}

}  // namespace

Family qwen2_family() {
  return {"qwen2", read_qwen2, llama_rows, {"model.layers.{}.self_attn.rotary_emb.inv_freq"}};
}

}  // namespace actsweep
