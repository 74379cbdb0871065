// Jamba: Mamba's selective state space in most layers, with norms of time steps and of what writes
// and reads states; attention without positions in the others; routed experts in some, a gated MLP
// in the others.
#include <algorithm>

#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/selective_facts.h"

namespace actsweep {
namespace {

ConfigKeys jamba_keys() {
  return {{{"vocab_size", "int", 65536},
           {"tie_word_embeddings", "bool", false},
           {"hidden_size", "int", 4096},
           {"intermediate_size", "int", 14336},
           {"num_hidden_layers", "int", 32},
           {"num_attention_heads", "int", 32},
           {"num_key_value_heads", "int", 8},
           {"hidden_act", "str", "silu"},
           {"initializer_range", "float", 0.02},
           {"rms_norm_eps", "float", 1e-6},
           {"use_cache", "bool", true},
           {"output_router_logits", "bool", false},
           {"router_aux_loss_coef", "float", 0.001},
           {"pad_token_id", "int|None", 0},
           {"bos_token_id", "int|None", 1},
           {"eos_token_id", "int|list[int]|None", 2},
           {"max_position_embeddings", "int", 262144},
           {"attention_dropout", "float|int", 0.0},
           {"num_experts_per_tok", "int", 2},
           {"num_experts", "int", 16},
           {"expert_layer_period", "int", 2},
           {"expert_layer_offset", "int", 1},
           {"attn_layer_period", "int", 8},
           {"attn_layer_offset", "int", 4},
           {"use_mamba_kernels", "bool", true},
           {"mamba_d_state", "int", 16},
           {"mamba_d_conv", "int", 4},
           {"mamba_expand", "int", 2},
           {"mamba_dt_rank", "int|str", "auto"},
           {"mamba_conv_bias", "bool", true},
           {"mamba_proj_bias", "bool", false},
           {"use_mambapy", "bool", false},
           {"use_associative_scan", "bool", true},
           {"head_dim", "int"}},
          {{"num_local_experts", "num_experts"}}};
}

/// By layer: whether it is `offset` behind a multiple of `period`.
std::vector<bool> read_period(const Config& config, const std::string& kind, int64_t layers) {
  const auto key = kind + "_layer_offset";
  const int64_t period = config.positive(kind + "_layer_period"), offset = config.count(key);
  if (offset >= period) config.refuse(key, "less than \"" + kind + "_layer_period\"");
  std::vector<bool> found;
  for (int64_t layer = 0; layer < layers; ++layer) found.push_back(layer % period == offset);
  return found;
}

void read_jamba_experts(const Config& config, Architecture& facts) {
  const auto layers = read_period(config, "expert", facts.layers);
  const int64_t count = config.positive("num_experts", kMostCount);
  const bool has_experts = std::find(layers.begin(), layers.end(), true) != layers.end();
  if (count == 1 || !has_experts) return;
  facts.experts = {count, config.positive("num_experts_per_tok", kMostCount), facts.ffn_width};
  facts.experts.layers = layers;
  check_experts(config, facts);
}

Architecture read_jamba(const Config& config) {
  const char* key = "layer_types";
  if (config.contains(key)) config.refuse(key, "\"attn_layer_period\" in its place");
  Architecture facts = read_sizes(config);
  facts.norm.epsilon = config.epsilon("rms_norm_eps");
  facts.activation = read_activation(config, "hidden_act");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  for (const bool has_attention : read_period(config, "attn", facts.layers)) {
    facts.mixer_of_layer.push_back(has_attention ? MixerKind::kAttention : MixerKind::kSelective);
  }
  read_jamba_experts(config, facts);
  read_selective(config, facts);
  facts.selective.epsilon = facts.norm.epsilon;
  return facts;
}

std::vector<TensorRow> jamba_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.", mlp = layer + "feed_forward.";
  using Layers = TensorRow::Layers;
  TensorRows rows(a);
  rows.embedding("model.embed_tokens")
      .norm(layer + "input_layernorm", Weight::kAttentionNorm)
      .in_layers(Layers::kAttention);
  add_llama_attention(a, rows);
  rows.in_layers(Layers::kSelective)
      .selective_space(layer + "mamba.")
      .selective_norms(layer + "mamba.", true)
      .in_layers(Layers::kAll)
      .norm(layer + "pre_ff_layernorm", Weight::kMlpNorm)
      .gate_up_down(mlp);
  if (a.experts.count > 0) {
    rows.router(mlp + "router", false)
        .experts(mlp + "experts.{e}.", "gate_proj", "up_proj", "down_proj");
  }
  rows.norm("model.final_layernorm", Weight::kFinalNorm).head("lm_head");
  return rows.list();
}

}  // namespace

Family jamba_family() {
  return {"jamba",
          read_jamba,
          jamba_rows,
          {},
          "model.",
          "Mamba's selective state space in most layers, with norms inside; attention without "
          "positions in the others; gated SiLU, or routed experts every other layer, their weights "
          "not renormalised",
          jamba_keys()};
}

}  // namespace actsweep
