// ModernBERT: an encoder of text with rotary positions, LayerNorm before each branch (but the first
// layer's attention, whose input the embedding's norm has normed), a gated MLP, and two of three
// layers that see a window on both sides.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

const ConfigKeys kModernBertKeys = {{{"vocab_size", "int", 50368},
                                     {"hidden_size", "int", 768},
                                     {"intermediate_size", "int", 1152},
                                     {"num_hidden_layers", "int", 22},
                                     {"num_attention_heads", "int", 12},
                                     {"hidden_activation", "str", "gelu"},
                                     {"max_position_embeddings", "int", 8192},
                                     {"initializer_range", "float", 0.02},
                                     {"initializer_cutoff_factor", "float", 2.0},
                                     {"norm_eps", "float", 1e-5},
                                     {"norm_bias", "bool", false},
                                     {"pad_token_id", "int|None", 50283},
                                     {"eos_token_id", "int|list[int]|None", 50282},
                                     {"bos_token_id", "int|None", 50281},
                                     {"cls_token_id", "int|None", 50281},
                                     {"sep_token_id", "int|None", 50282},
                                     {"attention_bias", "bool", false},
                                     {"attention_dropout", "float|int", 0.0},
                                     {"layer_types", "list[str]|None", nullptr},
                                     {"rope_parameters", "dict|None", nullptr},
                                     {"local_attention", "int", 128},
                                     {"embedding_dropout", "float|int", 0.0},
                                     {"mlp_bias", "bool", false},
                                     {"mlp_dropout", "float|int", 0.0},
                                     {"decoder_bias", "bool", true},
                                     {"classifier_pooling", "str", "cls"},
                                     {"classifier_dropout", "float|int", 0.0},
                                     {"classifier_bias", "bool", false},
                                     {"classifier_activation", "str", "gelu"},
                                     {"deterministic_flash_attn", "bool", false},
                                     {"sparse_prediction", "bool", false},
                                     {"sparse_pred_ignore_index", "int", -100},
                                     {"tie_word_embeddings", "bool", true}}};

/// By layer: `layer_types`, else all but every third from the first.
std::vector<bool> read_local_layers(const Config& config, const Architecture& facts) {
  if (config.has("layer_types")) {
    for (const auto& type : config.values().at("layer_types")) {
      if (type == "attention") config.refuse("layer_types", "the kinds of \"rope_parameters\"");
    }
  }
  auto slides = read_sliding_layers(config, facts);
  if (!slides.empty()) return slides;
  const int64_t every = config.positive_or("global_attn_every_n_layers", 3);
  for (int64_t layer = 0; layer < facts.layers; ++layer) slides.push_back(layer % every != 0);
  return slides;
}

/// Parameters are those of a kind of layers, never of all.
void check_kinds(const Config& config) {
  const auto ropes = config.section("rope_parameters");
  for (const auto& [key, value] : ropes.values().items()) {
    const bool is_kind = key == "full_attention" || key == "sliding_attention";
    if (!is_kind || !value.is_object()) {
      config.refuse("rope_parameters",
                    "\"full_attention\" and \"sliding_attention\" alone, of an object each");
    }
  }
}

/// Rope 0 for global layers, rope 1 for local ones.
void read_ropes(const Config& config, Architecture& facts, const std::vector<bool>& slides) {
  check_kinds(config);
  RopeKeys global, local;
  global.theta = 160'000;
  global.theta_key = "global_rope_theta";
  local.theta = 10'000;
  local.theta_key = "local_rope_theta";
  read_ropes_of_kinds(config, facts, global, local);
  use_ropes_of_kinds(facts, slides);
}

Architecture read_modernbert(const Config& config) {
  SizeKeys keys;
  keys.kv_heads = keys.head_width = "";
  config.one_of("classifier_pooling", {"cls", "mean"});
  Architecture facts = read_sizes(config, keys);
  check_head_width(config, facts);
  facts.is_causal = false;
  facts.norm = {NormKind::kLayer, config.epsilon("norm_eps")};
  facts.norm.has_bias = config.flag("norm_bias");
  facts.activation = read_activation(config, "hidden_activation");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.has_mlp_bias = config.flag("mlp_bias");
  const auto slides = read_local_layers(config, facts);
  // To each side. The other name counts where both are there.
  const int64_t reach = config.contains("sliding_window") ? config.positive("sliding_window")
                                                          : config.positive("local_attention") / 2;
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    if (slides[layer]) facts.window[layer] = reach + 1;
  }
  read_ropes(config, facts, slides);
  return facts;
}

std::vector<TensorRow> modernbert_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.";
  TensorRows rows(a);
  rows.embedding("model.embeddings.tok_embeddings")
      .norm("model.embeddings.norm", Weight::kEmbeddingNorm)
      .norm_behind_first(layer + "attn_norm", Weight::kAttentionNorm)
      .fused_query_key_value(layer + "attn.Wqkv", FusedOrder::kParts)
      .attention_output(layer + "attn.Wo")
      .norm(layer + "mlp_norm", Weight::kMlpNorm)
      .fused_gate_up_down(layer + "mlp.Wi", layer + "mlp.Wo")
      .norm("model.final_norm", Weight::kFinalNorm);
  return rows.list();
}

}  // namespace

Family modernbert_family() {
  return {"modernbert",
          read_modernbert,
          modernbert_rows,
          {"head.*", "decoder.*", "classifier.*"},
          "model.",
          "encoder of text: attention without a mask, two of three layers in a window on both "
          "sides; a rotary base for each kind; LayerNorm before each branch and on the embeddings; "
          "gated GELU",
          kModernBertKeys};
}

}  // namespace actsweep
