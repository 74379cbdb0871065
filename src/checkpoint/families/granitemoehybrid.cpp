// Granite 4: Granite's scales around Mamba-2's state space in most layers and attention in the
// others; an MLP, or routed experts beside a shared one, in all of them.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/state_facts.h"

namespace actsweep {
namespace {

ConfigKeys granitemoehybrid_keys() {
  auto keys = granite_keys().but({{"attention_dropout", "float|int|None", 0.0},
                                  {"embedding_multiplier", "int|float|None", 1.0},
                                  {"logits_scaling", "int|float|None", 1.0},
                                  {"residual_multiplier", "int|float|None", 1.0},
                                  {"attention_multiplier", "int|float|None", 1.0},
                                  {"num_local_experts", "int|None", 8},
                                  {"num_experts_per_tok", "int|None", 2},
                                  {"output_router_logits", "bool|None", false},
                                  {"router_aux_loss_coef", "float|None", 0.001},
                                  {"shared_intermediate_size", "int", 1024},
                                  {"position_embedding_type", "str|None", nullptr},
                                  {"layer_types", "list[str]|None", nullptr},
                                  {"mamba_n_heads", "int|None", 128},
                                  {"mamba_n_groups", "int|None", 1},
                                  {"mamba_d_state", "int|None", 256},
                                  {"mamba_d_head", "int|str|None", "auto"},
                                  {"mamba_d_conv", "int|None", 4},
                                  {"mamba_expand", "int|None", 2},
                                  {"mamba_chunk_size", "int|None", 256},
                                  {"mamba_conv_bias", "bool|None", true},
                                  {"mamba_proj_bias", "bool|None", false},
                                  {"time_step_limit", "list[float]|None", any_time_step()}},
                                 {"mlp_bias"});
  keys.aliases = {{"layers_block_type", "layer_types"}};
  return keys;
}

/// By `layer_types`; without them all layers have states.
void read_mixers(const Config& config, Architecture& facts) {
  const char *key = "layer_types", *other = "layers_block_type";
  if (config.contains(other) && !config.has(other)) config.refuse(other, "a list of layer types");
  facts.mixer_of_layer.assign(facts.layers, MixerKind::kStates);
  if (!config.has(key)) return;
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    const auto& type = config.values().at(key)[layer];
    const bool has_states = type == "linear_attention" || type == "mamba";
    if (has_states) continue;
    if (type != "full_attention" && type != "attention") {
      config.refuse(key, "\"linear_attention\" or \"full_attention\"");
    }
    facts.mixer_of_layer[layer] = MixerKind::kAttention;
  }
}

/// Without experts the shared one is the MLP.
void read_granite_mlp(const Config& config, Architecture& facts) {
  const char* count = "num_local_experts";
  const int64_t shared = config.positive("shared_intermediate_size");
  if (config.values().at(count) == 0) {
    facts.ffn_width = shared;
    return;
  }
  read_experts_of_all_layers(config, facts);
  facts.experts.shared_width = shared;
}

Architecture read_granitemoehybrid(const Config& config) {
  Architecture facts = read_granite_facts(config);
  const bool rotates = config.text_or("position_embedding_type", "") == "rope";
  rotate_layers(facts, std::vector<bool>(facts.layers, rotates));
  if (!rotates) facts.ropes.clear();
  read_mixers(config, facts);
  read_granite_mlp(config, facts);
  read_expanded_states(config, facts);
  return facts;
}

std::vector<TensorRow> granitemoehybrid_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.", moe = layer + "block_sparse_moe.";
  const std::string in = layer + "shared_mlp.input_linear",
                    out = layer + "shared_mlp.output_linear";
  using Layers = TensorRow::Layers;
  TensorRows rows(a);
  rows.embedding("model.embed_tokens")
      .norm(layer + "input_layernorm", Weight::kAttentionNorm)
      .in_layers(Layers::kAttention);
  add_llama_attention(a, rows);
  rows.in_layers(Layers::kStates)
      .state_space(layer + "mamba.")
      .in_layers(Layers::kAll)
      .norm(layer + "post_attention_layernorm", Weight::kMlpNorm);
  if (a.experts.count > 0) {
    rows.router(moe + "router.layer", false)
        .stacked_experts(moe + "input_linear.weight", moe + "output_linear.weight")
        .fused_shared_expert(in, out);
  } else {
    rows.fused_gate_up_down(in, out);
  }
  rows.norm("model.norm", Weight::kFinalNorm).head("lm_head");
  return rows.list();
}

}  // namespace

Family granitemoehybrid_family() {
  return {
      "granitemoehybrid",
      read_granitemoehybrid,
      granitemoehybrid_rows,
      {},
      "model.",
      "Granite's scales; Mamba-2's state space in most layers, attention in the others, without "
      "positions unless asked; a gated MLP, or routed experts beside a shared one",
      granitemoehybrid_keys()};
}

}  // namespace actsweep
