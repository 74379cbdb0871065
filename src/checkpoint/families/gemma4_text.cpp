// Gemma 4 (text): Gemma 3's norms around branches and two kinds of layers, of which the full ones
// have heads of their own sizes; values are normed; experts may stand beside the dense MLP. In the
// smallest models each layer has inputs of its own, and the last layers take the keys and values of
// the last one of their kind before them.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

const char* const kPerLayer = "per_layer_config";
const char* const kLayerEmbeddings = "hidden_size_per_layer_input";
const char* const kSharedLayers = "num_kv_shared_layers";

/// What a language model without experts declares.
ConfigKeys gemma4_unified_text_keys() {
  return gemma2_keys().but({{"vocab_size", "int", 262144},
                            {"num_hidden_layers", "int", 30},
                            {"max_position_embeddings", "int", 262144},
                            {"use_bidirectional_attention", "str|None", "vision"},
                            {"sliding_window", "int", 1024},
                            {"final_logit_softcapping", "float|None", nullptr},
                            {"attention_k_eq_v", "bool", false},
                            {kSharedLayers, "int", 0},
                            {"use_double_wide_mlp", "bool", false},
                            {"global_head_dim", "int"},
                            {"num_global_key_value_heads", "int|None"},
                            {kPerLayer, "dict|None"}},
                           {"query_pre_attn_scalar", "attn_logit_softcapping"});
}

ConfigKeys gemma4_text_keys() {
  return gemma4_unified_text_keys().but({{"max_position_embeddings", "int", 131072},
                                         {"use_bidirectional_attention", "str|None", nullptr},
                                         {"sliding_window", "int", 512},
                                         {"vocab_size_per_layer_input", "int", 262144},
                                         {kLayerEmbeddings, "int", 256},
                                         {"enable_moe_block", "bool", false},
                                         {"num_experts", "int|None", nullptr},
                                         {"top_k_experts", "int|None", nullptr},
                                         {"moe_intermediate_size", "int|None", nullptr}});
}

/// Switches of models that are not here.
void check_gemma4_switches(const Config& config) {
  if (config.has("use_bidirectional_attention")) {
    config.one_of("use_bidirectional_attention", {"vision"});  // of the tokens of images alone
  }
  config.only("rope_scaling", nullptr);
  config.only("partial_rotary_factor", nullptr);
}

/// All but every sixth; the last is full whatever `layer_types` says.
std::vector<bool> read_gemma4_slides(const Config& config, const Architecture& facts) {
  const char* key = "layer_types";
  const auto& types = config.values().at(key);
  if (std::find(types.begin(), types.end(), "attention") != types.end()) {
    config.refuse(key, "\"full_attention\", by no older name, or \"sliding_attention\"");
  }
  auto slides = read_sliding_layers(config, facts);
  if (slides.empty()) slides = all_but_every(6, facts.layers);
  slides.back() = false;
  return slides;
}

/// The sizes that every full layer has, and no other, as transformers 5.23 writes them: by layer.
Config read_full_sizes(const Config& config, const std::vector<bool>& slides) {
  const auto overrides = config.section(kPerLayer);
  Config first = overrides;
  bool is_found = false;
  for (size_t layer = 0; layer < slides.size(); ++layer) {
    const auto of_layer = overrides.section(std::to_string(layer));
    if (!is_found && !slides[layer]) first = of_layer, is_found = true;
    const bool is_fit =
        slides[layer] ? of_layer.values().empty() : of_layer.values() == first.values();
    if (!is_fit) config.refuse(kPerLayer, "the same sizes for all full layers, and for them alone");
  }
  for (const auto& [key, value] : first.values().items()) {
    if (key != "head_dim" && key != "num_key_value_heads") {
      first.refuse(key, "\"head_dim\" and \"num_key_value_heads\" alone");
    }
  }
  return first;
}

void read_full_heads(const Config& config, Architecture& facts, const std::vector<bool>& slides) {
  auto& full = facts.other_heads;
  full.layers = slides;
  full.layers.flip();
  full.has_key_as_value = config.flag("attention_k_eq_v");
  full.kv_heads = facts.kv_heads;
  std::string key = "num_key_value_heads";
  if (config.contains(kPerLayer)) {
    const auto sizes = read_full_sizes(config, slides);
    full.head_width = sizes.positive_or("head_dim", facts.head_width);
    full.kv_heads = sizes.positive_or(key, facts.kv_heads, kMostCount);
    key = kPerLayer;
  } else {
    full.head_width = config.positive_or("global_head_dim", 512);
    if (full.has_key_as_value && config.has("num_global_key_value_heads")) {
      key = "num_global_key_value_heads";
      full.kv_heads = config.positive(key, kMostCount);
    }
  }
  check_heads(config, facts.with_other_heads(), key);
}

Rope read_gemma4_rope(const Config& config, const char* kind, const Architecture& facts) {
  nlohmann::json parameters = {
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 10000.0}}},
      {"full_attention",
       {{"rope_type", "proportional"}, {"partial_rotary_factor", 0.25}, {"rope_theta", 1e6}}}};
  auto kinds = config.section("rope_parameters");
  if (!config.has("rope_parameters")) kinds = kinds.with_values(parameters);
  if (!kinds.has(kind)) {
    config.refuse("rope_parameters", fmt::format("an object with parameters of \"{}\"", kind));
  }
  const auto section = kinds.section(kind);
  section.text("rope_type");
  section.above_zero("rope_theta");
  RopeKeys keys;
  keys.may_be_proportional = true;
  return read_rope_parameters(config, section, facts, keys);
}

void read_gemma4_ropes(const Config& config, Architecture& facts, const std::vector<bool>& slides) {
  const bool has_sliding = std::find(slides.begin(), slides.end(), true) != slides.end();
  facts.ropes = {read_gemma4_rope(config, "full_attention", facts.with_other_heads())};
  if (has_sliding) facts.ropes.push_back(read_gemma4_rope(config, "sliding_attention", facts));
  use_ropes_of_kinds(facts, slides);
}

void read_gemma4_experts(const Config& config, Architecture& facts) {
  if (!config.flag_or("enable_moe_block", false)) return;
  for (const char* key : {"num_experts", "top_k_experts", "moe_intermediate_size"}) {
    if (!config.has(key)) {
      config.refuse("enable_moe_block", fmt::format("false where \"{}\" is null", key));
    }
  }
  auto& experts = facts.experts;
  experts = {config.positive("num_experts", kMostCount),
             config.positive("top_k_experts", kMostCount),
             config.positive("moe_intermediate_size")};
  check_experts(config, facts, "\"num_experts\"", "top_k_experts");
  experts.renormalises = true;
  experts.shared_width = facts.ffn_width;
  experts.are_normed_apart = true;
  experts.router.logit_scale = 1 / std::sqrt(static_cast<double>(facts.channels));
  experts.layers.assign(facts.layers, true);
}

/// The last layers take the keys and values of the last layer of their kind before them; then they
/// may have MLPs of twice the width.
void read_shared_keys(const Config& config, Architecture& facts, const std::vector<bool>& slides) {
  const int64_t shared = config.count(kSharedLayers);
  if (shared == 0) return;
  const int64_t first = facts.layers - shared;
  if (first < 1) config.refuse(kSharedLayers, "fewer than all layers");
  facts.keys_of_layer.resize(facts.layers);
  std::iota(facts.keys_of_layer.begin(), facts.keys_of_layer.end(), 0);
  for (const bool kind : {false, true}) {
    int64_t giver = -1;
    for (int64_t layer = 0; layer < facts.layers; ++layer) {
      if (slides[layer] != kind) continue;
      if (layer < first) giver = layer;
      facts.keys_of_layer[layer] = layer < first ? layer : giver;
    }
  }
  const auto& keys = facts.keys_of_layer;
  if (std::find(keys.begin(), keys.end(), -1) != keys.end()) {
    config.refuse(kSharedLayers, "a layer of each kind in \"layer_types\" before those that share");
  }
  const char* wide = "use_double_wide_mlp";
  if (!config.flag(wide)) return;
  if (facts.experts.count > 0) config.refuse(wide, "false beside experts");
  facts.other_mlp = {2 * facts.ffn_width, std::vector<bool>(facts.layers, false)};
  std::fill(facts.other_mlp.layers.begin() + first, facts.other_mlp.layers.end(), true);
}

/// Inputs of each layer.
void read_layer_inputs(const Config& config, Architecture& facts) {
  if (!config.contains(kLayerEmbeddings)) return;
  auto& inputs = facts.layer_inputs;
  inputs.width = config.count(kLayerEmbeddings);
  if (inputs.width == 0) return;
  const char* rows = "vocab_size_per_layer_input";
  inputs.rows = config.positive(rows);
  if (inputs.rows < facts.vocabulary) {
    config.refuse(rows, fmt::format("at least \"vocab_size\", {}", facts.vocabulary));
  }
}

Architecture read_gemma4_text(const Config& config) {
  check_gemma4_switches(config);
  Architecture facts = read_sizes(config);
  facts.norm.epsilon = config.epsilon("rms_norm_eps");
  facts.embedding_scale = std::sqrt(static_cast<double>(facts.channels));
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  facts.activation = read_activation(config, "hidden_activation");
  facts.logit_cap = read_soft_cap(config, "final_logit_softcapping");
  facts.attention_scale = 1;
  facts.query_key_norm = QueryKeyNorm::kEachHead;
  const auto slides = read_gemma4_slides(config, facts);
  use_sliding_window(config, facts, slides);
  read_full_heads(config, facts, slides);
  read_gemma4_ropes(config, facts, slides);
  read_gemma4_experts(config, facts);
  read_shared_keys(config, facts, slides);
  read_layer_inputs(config, facts);
  return facts;
}

void add_gemma4_attention(const std::string& layer, const std::string& value, TensorRows& rows) {
  const auto attention = layer + "self_attn.";
  rows.query_key_value(attention, "q_proj", "k_proj", value)
      .query_key_norms(attention + "q_norm", attention + "k_norm", false, false)
      .plain_head_norm(attention + "v_norm", Weight::kValueNorm)
      .attention_output(attention + "o_proj");
}

void add_gemma4_experts(const std::string& layer, const Architecture& a, TensorRows& rows) {
  rows.shared_expert(layer + "mlp.")
      .norm(layer + "post_feedforward_layernorm_1", Weight::kDensePostNorm)
      .router(layer + "router.proj", false)
      .parameter(layer + "router.scale", Weight::kRouterNorm, {a.channels})
      .parameter(layer + "router.per_expert_scale", Weight::kExpertScale, {a.experts.count})
      .norm(layer + "pre_feedforward_layernorm_2", Weight::kExpertNorm)
      .stacked_experts(layer + "experts.gate_up_proj", layer + "experts.down_proj")
      .norm(layer + "post_feedforward_layernorm_2", Weight::kExpertPostNorm);
}

std::vector<TensorRow> gemma4_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens")
      .norm(layer + "input_layernorm", Weight::kAttentionNorm)
      .in_layers(TensorRow::Layers::kOwnHeads);
  add_gemma4_attention(layer, "v_proj", rows);
  rows.in_layers(TensorRow::Layers::kOtherHeads);
  add_gemma4_attention(layer, a.other_heads.has_key_as_value ? "k_proj" : "v_proj", rows);
  rows.in_layers(TensorRow::Layers::kAll)
      .norm(layer + "post_attention_layernorm", Weight::kAttentionPostNorm)
      .norm(layer + "pre_feedforward_layernorm", Weight::kMlpNorm);
  if (a.experts.count > 0) {
    add_gemma4_experts(layer, a, rows);
  } else {
    rows.in_layers(TensorRow::Layers::kOwnMlp).gate_up_down(layer + "mlp.");
  }
  if (!a.other_mlp.layers.empty()) {
    rows.in_layers(TensorRow::Layers::kOtherMlp).gate_up_down(layer + "mlp.");
  }
  rows.in_layers(TensorRow::Layers::kAll)
      .norm(layer + "post_feedforward_layernorm", Weight::kMlpPostNorm);
  if (a.layer_inputs.width > 0) rows.layer_inputs("model.", layer);
  rows.parameter(layer + "layer_scalar", Weight::kLayerScale, {1})
      .norm("model.norm", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family gemma4_unified_text_family() {
  return {"gemma4_unified_text",           read_gemma4_text,          gemma4_rows, {}, "model.",
          "`gemma4_text` without experts", gemma4_unified_text_keys()};
}

Family gemma4_text_family() {
  return {"gemma4_text",
          read_gemma4_text,
          gemma4_rows,
          {},
          "model.",
          "Gemma 3's norms and kinds of layers; full layers with heads of their own sizes, "
          "proportional rotary positions, and keys for values where asked; normed values; a factor "
          "on each layer's output; experts beside the dense MLP, each with norms of its own; in the "
          "smallest models inputs of each layer's own, and layers with the keys and values of an "
          "earlier one",
          gemma4_text_keys()};
}

}  // namespace actsweep
