// Mamba and Falcon Mamba: a selective state space in every layer and no MLP; Falcon's has norms
// without weights of time steps and of what writes and reads states.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/selective_facts.h"

namespace actsweep {
namespace {

ConfigKeys mamba_keys() {
  return {{{"vocab_size", "int", 50280},
           {"hidden_size", "int", 768},
           {"state_size", "int", 16},
           {"num_hidden_layers", "int", 32},
           {"layer_norm_epsilon", "float", 1e-5},
           {"pad_token_id", "int|None", 0},
           {"bos_token_id", "int|None", 0},
           {"eos_token_id", "int|list[int]|None", 0},
           {"expand", "int", 2},
           {"conv_kernel", "int", 4},
           {"use_bias", "bool", false},
           {"use_conv_bias", "bool", true},
           {"hidden_act", "str", "silu"},
           {"initializer_range", "float", 0.1},
           {"residual_in_fp32", "bool", true},
           {"time_step_rank", "str|int", "auto"},
           {"time_step_scale", "float", 1.0},
           {"time_step_min", "float", 0.001},
           {"time_step_max", "float", 0.1},
           {"time_step_init_scheme", "str", "random"},
           {"time_step_floor", "float", 1e-4},
           {"rescale_prenorm_residual", "bool", false},
           {"use_cache", "bool", true},
           {"use_mambapy", "bool", false},
           {"use_associative_scan", "bool", true},
           {"tie_word_embeddings", "bool", true},
           {"intermediate_size", "int"}}};
}

Architecture read_mamba(const Config& config) {
  const char* key = "layer_types";
  if (config.contains(key)) config.refuse(key, "no such key: all layers are alike");
  SizeKeys sizes;
  sizes.heads = sizes.kv_heads = sizes.head_width = sizes.ffn_width = sizes.positions = "";
  Architecture facts = read_sizes(config, sizes);
  facts.norm.epsilon = config.epsilon("layer_norm_epsilon");
  facts.activation = read_activation(config, "hidden_act");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  facts.mixer_of_layer.assign(facts.layers, MixerKind::kSelective);
  facts.mlp_layers.assign(facts.layers, false);
  read_selective(
      config, facts,
      {"state_size", "time_step_rank", "conv_kernel", "expand", "use_conv_bias", "use_bias"});
  const char* channels = "intermediate_size";  // counts before what the expansion says
  if (config.has(channels)) facts.selective.channels = config.positive(channels);
  return facts;
}

Architecture read_falcon_mamba(const Config& config) {
  Architecture facts = read_mamba(config);
  facts.selective.epsilon = config.epsilon("mixer_rms_eps");
  return facts;
}

void add_mamba_layers(TensorRows& rows) {
  rows.embedding("backbone.embeddings")
      .norm("backbone.layers.{}.norm", Weight::kAttentionNorm)
      .selective_space("backbone.layers.{}.mixer.");
}

std::vector<TensorRow> mamba_rows(const Architecture& a) {
  TensorRows rows(a);
  add_mamba_layers(rows);
  rows.norm("backbone.norm_f", Weight::kFinalNorm).head("lm_head");
  return rows.list();
}

std::vector<TensorRow> falcon_mamba_rows(const Architecture& a) {
  TensorRows rows(a);
  add_mamba_layers(rows);
  rows.selective_norms("backbone.layers.{}.mixer.", false)
      .norm("backbone.norm_f", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family mamba_family() {
  return {"mamba",
          read_mamba,
          mamba_rows,
          {},
          "backbone.",
          "Mamba's selective state space behind a short convolution in every layer, and no MLP",
          mamba_keys()};
}

Family falcon_mamba_family() {
  return {"falcon_mamba",
          read_falcon_mamba,
          falcon_mamba_rows,
          {},
          "backbone.",
          "Mamba with norms, without weights, of time steps and of what writes and reads states",
          mamba_keys().but({{"mixer_rms_eps", "float", 1e-6}})};
}

}  // namespace actsweep
