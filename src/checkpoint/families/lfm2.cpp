// LFM2: a short convolution between two gates in most layers, Llama's attention with norms of each
// head's query and key in the others; a gated MLP in all of them.
#include <algorithm>
#include <cmath>

#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

ConfigKeys lfm2_keys() {
  return {{{"vocab_size", "int", 65536},
           {"hidden_size", "int", 2560},
           {"intermediate_size", "int", 12288},
           {"num_hidden_layers", "int", 32},
           {"num_attention_heads", "int", 32},
           {"num_key_value_heads", "int", 8},
           {"max_position_embeddings", "int", 128000},
           {"initializer_range", "float", 0.02},
           {"norm_eps", "float", 1e-5},
           {"use_cache", "bool", true},
           {"pad_token_id", "int|None", 0},
           {"bos_token_id", "int|None", 1},
           {"eos_token_id", "int|list[int]|None", 2},
           {"tie_word_embeddings", "bool", true},
           {"rope_parameters", "dict|None", nullptr},
           {"conv_bias", "bool", false},
           {"conv_L_cache", "int", 3},
           {"block_multiple_of", "int", 256},
           {"block_ffn_dim_multiplier", "float|int", 1.0},
           {"block_auto_adjust_ff_dim", "bool", true},
           {"full_attn_idxs", "list[int]|None", nullptr},
           {"layer_types", "list[str]|None", nullptr},
           {"head_dim", "int"}},
          {{"tie_embedding", "tie_word_embeddings"}, {"block_ff_dim", "intermediate_size"}}};
}

/// By `layer_types`, else attention in the layers of `full_attn_idxs`, else in all.
void read_convolved_layers(const Config& config, Architecture& facts) {
  const char* key = "layer_types";
  auto& mixers = facts.mixer_of_layer;
  if (config.has(key)) {
    for (const auto& type : config.values().at(key)) {
      const bool is_attention = type == "full_attention";
      if (!is_attention && type != "conv") config.refuse(key, "\"conv\" or \"full_attention\"");
      mixers.push_back(is_attention ? MixerKind::kAttention : MixerKind::kConvolution);
    }
    return;
  }
  if (!config.has("full_attn_idxs")) return;
  mixers.assign(facts.layers, MixerKind::kConvolution);
  for (const auto& index : config.values().at("full_attn_idxs")) {
    const bool is_here = index >= 0 && index < facts.layers;
    if (is_here) mixers[index.get<int64_t>()] = MixerKind::kAttention;
  }
}

/// Two thirds of the width, times a factor, rounded up to a multiple.
int64_t adjusted_width(const Config& config, int64_t width) {
  const char* key = "block_ffn_dim_multiplier";
  const double wanted = config.above_zero(key) * static_cast<double>(2 * width / 3);
  const int64_t multiple = config.positive("block_multiple_of");
  const double adjusted =
      std::ceil(std::floor(wanted) / static_cast<double>(multiple)) * static_cast<double>(multiple);
  if (adjusted < 1 || adjusted > static_cast<double>(kMostSize)) {
    config.refuse(key, "a factor that leaves 1 to 2147483647 neurons");
  }
  return static_cast<int64_t>(adjusted);
}

Architecture read_lfm2(const Config& config) {
  Architecture facts = read_sizes(config);
  if (config.flag("block_auto_adjust_ff_dim")) {
    facts.ffn_width = adjusted_width(config, facts.ffn_width);
  }
  facts.norm.epsilon = config.epsilon("norm_eps");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  facts.query_key_norm = QueryKeyNorm::kEachHead;
  RopeKeys rope;
  rope.theta = 1e6;
  read_rope(config, facts, rope);
  read_convolved_layers(config, facts);
  facts.convolution = {facts.channels, config.positive("conv_L_cache", kMostCount),
                       config.flag("conv_bias")};
  return facts;
}

std::vector<TensorRow> lfm2_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.", attention = layer + "self_attn.";
  using Layers = TensorRow::Layers;
  TensorRows rows(a);
  rows.embedding("model.embed_tokens")
      .norm(layer + "operator_norm", Weight::kAttentionNorm)
      .in_layers(Layers::kAttention)
      .query_key_value(attention, "q_proj", "k_proj", "v_proj")
      .query_key_norms(attention + "q_layernorm", attention + "k_layernorm", false, false)
      .attention_output(attention + "out_proj")
      .in_layers(Layers::kConvolution)
      .short_convolution(layer + "conv.")
      .in_layers(Layers::kAll)
      .norm(layer + "ffn_norm", Weight::kMlpNorm)
      .gate_up_down(layer + "feed_forward.", {"w1", "w3", "w2"})
      .norm("model.embedding_norm", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family lfm2_family() {
  return {"lfm2",
          read_lfm2,
          lfm2_rows,
          {},
          "model.",
          "a short convolution between two gates in most layers, Llama's attention with query/key "
          "norms for each head in the others; gated SiLU, its width adjusted where asked",
          lfm2_keys()};
}

}  // namespace actsweep
