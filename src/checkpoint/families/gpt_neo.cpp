// GPT-Neo (TinyStories): GPT-2's shape with query, key and value apart, scores that are not divided
// and a sliding window on the layers that `attention_types` calls local.
#include <algorithm>

#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

const ConfigKeys kGptNeoKeys = {
    {{"vocab_size", "int", 50257},
     {"max_position_embeddings", "int", 2048},
     {"hidden_size", "int", 2048},
     {"num_layers", "int", 24},
     {"attention_types", "list|None", nullptr},
     {"num_heads", "int", 16},
     {"intermediate_size", "int|None", nullptr},
     {"window_size", "int", 256},
     {"activation_function", "str", "gelu_new"},
     {"resid_dropout", "float|int", 0.0},
     {"embed_dropout", "float|int", 0.0},
     {"attention_dropout", "float|int", 0.0},
     {"classifier_dropout", "float|int", 0.1},
     {"layer_norm_epsilon", "float", 1e-05},
     {"initializer_range", "float", 0.02},
     {"use_cache", "bool", true},
     {"bos_token_id", "int|None", 50256},
     {"eos_token_id", "int|list[int]|None", 50256},
     {"pad_token_id", "int|None", nullptr},
     {"tie_word_embeddings", "bool", true},
     {"attention_layers", "list"}},
    {{"num_attention_heads", "num_heads"}, {"num_hidden_layers", "num_layers"}}};

const char* const kTypes = "attention_types";

/// Where `attention_types` says so: types of layers by lists, and how often each repeats.
nlohmann::json repeated_types(const Config& config, int64_t layers) {
  const auto usual = nlohmann::json::parse(R"([[["global", "local"], 12]])");
  auto types = nlohmann::json::array();
  for (const auto& list : config.has(kTypes) ? config.values().at(kTypes) : usual) {
    const bool is_list = list.is_array() && list.size() >= 2 && list[0].is_array();
    if (!is_list || !list[1].is_number_integer()) {
      config.refuse(kTypes, "lists such as [[\"global\", \"local\"], 12]");
    }
    for (int64_t i = 0; i < list[1].get<int64_t>() && !list[0].empty(); ++i) {
      types.insert(types.end(), list[0].begin(), list[0].end());
      if (static_cast<int64_t>(types.size()) > layers) break;
    }
  }
  return types;
}

/// By layer: whether its window slides. A list of all layers' types counts before the short one.
std::vector<bool> read_local_layers(const Config& config, int64_t layers) {
  const char* whole = "attention_layers";
  const bool is_whole = config.contains(whole);
  const auto types = is_whole ? config.values().at(whole) : repeated_types(config, layers);
  std::vector<bool> locals;
  for (const auto& type : types) locals.push_back(type == "local");
  const auto is_known = [](const auto& type) { return type == "local" || type == "global"; };
  if (static_cast<int64_t>(locals.size()) != layers ||
      !std::all_of(types.begin(), types.end(), is_known)) {
    config.refuse(is_whole ? whole : kTypes,
                  fmt::format("\"global\" or \"local\" for {} layers (\"num_layers\")", layers));
  }
  return locals;
}

void read_local_windows(const Config& config, Architecture& facts) {
  const auto locals = read_local_layers(config, facts.layers);
  const int64_t window = config.positive("window_size");
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    facts.window[layer] = locals[layer] ? window : 0;
  }
}

Architecture read_gpt_neo(const Config& config) {
  SizeKeys keys;
  keys.layers = "num_layers";
  keys.heads = "num_heads";
  keys.kv_heads = keys.head_width = keys.ffn_width = "";
  Architecture facts = read_sizes(config, keys);
  facts.ffn_width = config.positive_or("intermediate_size", 4 * facts.channels);
  facts.norm = {NormKind::kLayer, config.epsilon("layer_norm_epsilon")};
  facts.norm.has_bias = true;
  facts.activation = read_activation(config, "activation_function");
  facts.is_gated = false;
  facts.has_output_bias = facts.has_mlp_bias = true;
  facts.position_rows = facts.max_positions;
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  facts.attention_scale = 1;
  read_local_windows(config, facts);
  return facts;
}

std::vector<TensorRow> gpt_neo_rows(const Architecture& a) {
  const std::string layer = "transformer.h.{}.", attention = layer + "attn.attention.";
  TensorRows rows(a);
  rows.embedding("transformer.wte")
      .positions("transformer.wpe")
      .norm(layer + "ln_1", Weight::kAttentionNorm)
      .query_key_value(attention, "q_proj", "k_proj", "v_proj")
      .attention_output(attention + "out_proj")
      .norm(layer + "ln_2", Weight::kMlpNorm)
      .up_down(layer + "mlp.c_fc", layer + "mlp.c_proj")
      .norm("transformer.ln_f", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family gpt_neo_family() {
  const std::string attention = "transformer.h.{}.attn.attention.";
  return {
      "gpt_neo",
      read_gpt_neo,
      gpt_neo_rows,
      {},
      "transformer.",
      "LayerNorm before each branch; learned positions; sliding window on every other layer, or "
      "by `attention_types`; scores not divided; GELU (tanh) without a gate; biases but on "
      "query, key and value",
      kGptNeoKeys};
}

}  // namespace actsweep
