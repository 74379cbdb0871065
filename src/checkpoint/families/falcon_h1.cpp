// Falcon-H1: in each layer attention and Mamba-2's state space side by side, on the same rows; a
// gated MLP behind them; factors of what they read, project and add.
#include <array>

#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/state_facts.h"

namespace actsweep {
namespace {

ConfigKeys falcon_h1_keys() {
  return bamba_keys().but({{"use_cache", "bool|None", true},
                           {"max_position_embeddings", "int", 8192},
                           {"mamba_d_ssm", "int|None", 1024},
                           {"mamba_norm_before_gate", "bool|None", true},
                           {"mamba_rms_norm", "bool|None", false},
                           {"projectors_bias", "bool|None", false},
                           {"lm_head_multiplier", "float|None", 1.0},
                           {"embedding_multiplier", "float|None", 1.0},
                           {"mlp_multipliers", "list[float]|None", nullptr},
                           {"key_multiplier", "float|None", 1.0},
                           {"attention_out_multiplier", "float|None", 1.0},
                           {"attention_in_multiplier", "float|None", 1.0},
                           {"ssm_multipliers", "list[float]|None", nullptr},
                           {"ssm_in_multiplier", "float|None", 1.0},
                           {"ssm_out_multiplier", "float|None", 1.0}},
                          {"attn_layer_indices", "z_loss_coefficient"});
}

/// The list of factors under a key; null: 1 everywhere.
template <size_t kCount>
std::array<double, kCount> read_factors(const Config& config, const char* key) {
  std::array<double, kCount> factors;
  factors.fill(1);
  if (!config.has(key)) return factors;
  const auto& list = config.values().at(key);
  if (list.size() != kCount) config.refuse(key, fmt::format("{} factors", kCount));
  for (size_t i = 0; i < kCount; ++i) {
    factors[i] = read_factor(config.with_values({{key, list[i]}}), key);
  }
  return factors;
}

void read_branch_factors(const Config& config, Architecture& facts) {
  facts.embedding_scale = read_factor(config, "embedding_multiplier");
  facts.logit_scale = read_factor(config, "lm_head_multiplier");
  facts.attention_input_scale = read_factor(config, "attention_in_multiplier");
  facts.key_scale = read_factor(config, "key_multiplier");
  facts.mixer_scale = read_factor(config, "attention_out_multiplier");
  const auto mlp = read_factors<2>(config, "mlp_multipliers");
  facts.gate_scale = mlp[0];
  facts.mlp_scale = mlp[1];
}

GroupNorm read_group_norm(const Config& config) {
  if (!config.flag("mamba_rms_norm")) return GroupNorm::kNone;
  return config.flag("mamba_norm_before_gate") ? GroupNorm::kBeforeGate : GroupNorm::kBehindGate;
}

/// Heads of `mamba_d_ssm` channels, else of `mamba_expand` times the model's.
void read_state_sizes(const Config& config, Architecture& facts) {
  const char *inner = "mamba_d_ssm", *width = "mamba_d_head";
  const int64_t channels = config.has(inner)
                               ? config.positive(inner)
                               : config.positive("mamba_expand", kMostCount) * facts.channels;
  auto sized = config;
  if (config.values().at(width) == "auto") {
    const int64_t heads = config.positive("mamba_n_heads", kMostCount);
    if (heads > channels) {
      config.refuse("mamba_n_heads",
                    fmt::format("at most as many as channels of all heads, {}", channels));
    }
    sized.set(width, channels / heads, width);
  }
  read_states(sized, facts);
  if (facts.states.channels() == channels) return;
  sized.refuse(width, fmt::format("{} channels of all \"mamba_n_heads\" heads (\"mamba_d_ssm\", "
                                  "else \"mamba_expand\" times \"hidden_size\")",
                                  channels));
}

void read_falcon_states(const Config& config, Architecture& facts) {
  read_state_sizes(config, facts);
  read_step_limit(config, facts);
  auto& states = facts.states;
  states.activation = facts.activation;
  states.has_output_bias = config.flag("projectors_bias");
  states.norm = read_group_norm(config);
  states.input_scale = read_factor(config, "ssm_in_multiplier");
  states.projected_scales = read_factors<5>(config, "ssm_multipliers");
  states.output_scale = read_factor(config, "ssm_out_multiplier");
  facts.states_beside.assign(facts.layers, true);
}

Architecture read_falcon_h1(const Config& config) {
  for (const char* key : {"layer_types", "layers_block_type"}) {
    if (config.contains(key)) config.refuse(key, "no such key: all layers are \"hybrid\"");
  }
  Architecture facts = read_llama_facts(config);
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.has_mlp_bias = config.flag("mlp_bias");
  read_branch_factors(config, facts);
  read_falcon_states(config, facts);
  return facts;
}

std::vector<TensorRow> falcon_h1_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.";
  using Layers = TensorRow::Layers;
  TensorRows rows(a);
  rows.embedding("model.embed_tokens")
      .norm(layer + "input_layernorm", Weight::kAttentionNorm)
      .in_layers(Layers::kStates)
      .state_space(layer + "mamba.")
      .in_layers(Layers::kAll);
  add_llama_attention(a, rows);
  rows.norm(layer + "pre_ff_layernorm", Weight::kMlpNorm)
      .gate_up_down(layer + "feed_forward.")
      .norm("model.final_layernorm", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family falcon_h1_family() {
  return {"falcon_h1",
          read_falcon_h1,
          falcon_h1_rows,
          {},
          "model.",
          "attention and Mamba-2's state space side by side in each layer, with a norm of the "
          "latter where `mamba_rms_norm` says so; gated MLP; factors of what each of them reads, "
          "projects and adds; biases by `attention_bias`, `mlp_bias`, `mamba_proj_bias` and "
          "`projectors_bias`",
          falcon_h1_keys()};
}

}  // namespace actsweep
