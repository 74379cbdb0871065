// Nemotron-H and Nemotron 3: each layer has one branch alone, Mamba-2's state space, attention
// without positions, an MLP without a gate, or routed experts beside a shared one.
#include <algorithm>

#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/routed_experts.h"
#include "checkpoint/state_facts.h"

namespace actsweep {
namespace {

ConfigKeys nemotron_h_keys() {
  return {{{"vocab_size", "int", 131072},
           {"hidden_size", "int", 4096},
           {"layers_block_type", "list[str]|None", nullptr},
           {"tie_word_embeddings", "bool", false},
           {"use_cache", "bool", true},
           {"num_logits_to_keep", "int", 1},
           {"pad_token_id", "int|None", 0},
           {"bos_token_id", "int|None", 1},
           {"eos_token_id", "int|list[int]|None", 2},
           {"num_attention_heads", "int", 32},
           {"num_key_value_heads", "int", 8},
           {"head_dim", "int", 128},
           {"max_position_embeddings", "int", 4096},
           {"attention_bias", "bool", false},
           {"attention_dropout", "float|int", 0.0},
           {"sliding_window", "int|None", nullptr},
           {"intermediate_size", "int", 21504},
           {"mlp_hidden_act", "str", "relu2"},
           {"mlp_bias", "bool", false},
           {"use_mamba_kernels", "bool", true},
           {"ssm_state_size", "int", 128},
           {"mamba_num_heads", "int", 128},
           {"mamba_head_dim", "int", 64},
           {"mamba_hidden_act", "str", "silu"},
           {"n_groups", "int", 8},
           {"conv_kernel", "int", 4},
           {"expand", "int", 2},
           {"time_step_min", "float", 0.001},
           {"time_step_max", "float", 0.1},
           {"time_step_limit", "list[float]", any_time_step()},
           {"time_step_floor", "float", 1e-4},
           {"use_conv_bias", "bool", true},
           {"chunk_size", "int", 128},
           {"mamba_proj_bias", "bool", false},
           {"mamba_ssm_cache_dtype", "str", "float32"},
           {"n_routed_experts", "int", 8},
           {"output_router_logits", "bool", false},
           {"n_shared_experts", "int", 1},
           {"moe_intermediate_size", "int", 7688},
           {"moe_shared_expert_intermediate_size", "int", 7688},
           {"moe_latent_size", "int|None", nullptr},
           {"moe_shared_expert_overlap", "bool", true},
           {"num_experts_per_tok", "int", 2},
           {"routed_scaling_factor", "float|int", 1.0},
           {"n_group", "int", 1},
           {"topk_group", "int", 1},
           {"norm_topk_prob", "bool", true},
           {"num_nextn_predict_layers", "int", 0},
           {"mtp_layers_block_type", "list[str]|None", nullptr},
           {"use_bias", "bool", false},
           {"initializer_range", "float", 0.02},
           {"layer_norm_epsilon", "float", 1e-5},
           {"residual_in_fp32", "bool", false},
           {"hidden_dropout", "float|int", 0.0},
           {"rescale_prenorm_residual", "bool", true}},
          {{"layer_types", "layers_block_type"},
           {"num_local_experts", "n_routed_experts"},
           {"mamba_n_groups", "n_groups"},
           {"mamba_d_conv", "conv_kernel"},
           {"mamba_dt_min", "time_step_min"},
           {"mamba_conv_bias", "use_conv_bias"}}};
}

enum class Branch { kStates, kAttention, kMlp, kExperts };

/// A layer's only branch, by its letter in a pattern or its name in a list.
struct BranchName {
  char letter;
  const char* name;
  Branch branch;
};
constexpr BranchName kBranches[] = {{'M', "linear_attention", Branch::kStates},
                                    {'*', "full_attention", Branch::kAttention},
                                    {'M', "mamba", Branch::kStates},
                                    {'*', "attention", Branch::kAttention},
                                    {'-', "mlp", Branch::kMlp},
                                    {'E', "moe", Branch::kExperts}};

std::vector<Branch> read_listed(const Config& config, const char* key) {
  std::vector<Branch> branches;
  for (const auto& name : config.values().at(key)) {
    for (const auto& known : kBranches) {
      if (name == known.name) branches.push_back(known.branch);
      if (name == known.name) break;
    }
  }
  if (branches.empty() || branches.size() != config.values().at(key).size()) {
    config.refuse(key,
                  "\"linear_attention\", \"full_attention\", \"mlp\" or \"moe\" for each layer");
  }
  return branches;
}

std::vector<Branch> read_pattern(const Config& config, const char* key) {
  std::vector<Branch> branches;
  const auto pattern = config.text(key);
  for (const char letter : pattern) {
    for (const auto& known : kBranches) {
      if (letter == known.letter) branches.push_back(known.branch);
      if (letter == known.letter) break;
    }
  }
  if (branches.empty() || branches.size() != pattern.size()) {
    config.refuse(key, "a letter for each layer: \"M\", \"*\", \"-\" or \"E\"");
  }
  return branches;
}

/// By `layers_block_type`, else by the letters of `hybrid_override_pattern`, else one of each.
std::vector<Branch> read_branches(const Config& config) {
  const char *list = "layers_block_type", *pattern = "hybrid_override_pattern";
  if (config.has(list)) return read_listed(config, list);
  if (config.contains(pattern)) return read_pattern(config, pattern);
  return {Branch::kStates, Branch::kExperts, Branch::kAttention, Branch::kMlp};
}

void use_branches(const std::vector<Branch>& branches, Architecture& facts) {
  for (const auto branch : branches) {
    const bool has_mixer = branch == Branch::kStates || branch == Branch::kAttention;
    facts.mixer_of_layer.push_back(branch == Branch::kStates      ? MixerKind::kStates
                                   : branch == Branch::kAttention ? MixerKind::kAttention
                                                                  : MixerKind::kNone);
    facts.mlp_layers.push_back(!has_mixer);
    facts.experts.layers.push_back(branch == Branch::kExperts);
  }
}

void read_experts(const Config& config, Architecture& facts) {
  const auto layers = facts.experts.layers;
  facts.experts = {config.positive("n_routed_experts", kMostCount),
                   config.positive("num_experts_per_tok", kMostCount),
                   config.positive("moe_intermediate_size")};
  facts.experts.layers = layers;
  facts.experts.shared_width = config.positive("moe_shared_expert_intermediate_size");
  config.only("moe_latent_size", nullptr);
  check_experts(config, facts, R"("n_routed_experts" or "num_local_experts")");
  read_sigmoid_router(config, facts);
}

void read_nemotron_states(const Config& config, Architecture& facts) {
  read_states(config, facts,
              {"mamba_num_heads", "mamba_head_dim", "n_groups", "ssm_state_size", "conv_kernel",
               "use_conv_bias", "use_bias"});
  facts.states.activation = read_activation(config, "mamba_hidden_act");
  // The lower end of `time_step_limit` has no effect, in transformers either.
  const char* key = "time_step_min";
  facts.states.least_step = config.number(key);
  if (facts.states.least_step > 1000) config.refuse(key, "a time step of at most 1000");
}

/// What no module reads, and a checkpoint of another model may set.
void check_unread(const Config& config) {
  config.only("attention_bias", false);
  config.only("sliding_window", nullptr);
  config.only("mamba_proj_bias", false);
  config.only("tie_word_embeddings", false);
}

/// transformers overlooks a number of layers that is another than the list's.
void check_count(const Config& config, size_t layers) {
  const char* key = "num_hidden_layers";
  if (!config.contains(key) || config.values().at(key) == layers) return;
  config.refuse(key, fmt::format("{}, as \"layers_block_type\" has layers", layers));
}

Architecture read_nemotron_h(const Config& config) {
  const auto branches = read_branches(config);
  check_count(config, branches.size());
  auto sized = config;
  sized.set("num_hidden_layers", branches.size(), "layers_block_type");
  sized.set("layer_types", nullptr, "layers_block_type");
  Architecture facts = read_sizes(sized);
  use_branches(branches, facts);
  facts.norm.epsilon = config.epsilon("layer_norm_epsilon");
  facts.activation = read_activation(config, "mlp_hidden_act");
  facts.is_gated = false;
  facts.has_mlp_bias = config.flag("mlp_bias");
  const auto has = [&](Branch branch) {
    return std::find(branches.begin(), branches.end(), branch) != branches.end();
  };
  if (has(Branch::kStates)) read_nemotron_states(config, facts);
  if (has(Branch::kExperts)) read_experts(config, facts);
  if (!has(Branch::kMlp)) facts.ffn_width = 0;
  check_unread(config);
  return facts;
}

std::vector<TensorRow> nemotron_h_rows(const Architecture& a) {
  const std::string layer = "backbone.layers.{}.", branch = layer + "mixer.";
  using Layers = TensorRow::Layers;
  TensorRows rows(a);
  rows.embedding("backbone.embeddings")
      .in_layers(Layers::kMixer)
      .norm(layer + "norm", Weight::kAttentionNorm)
      .in_layers(Layers::kAttention)
      .query_key_value(branch, "q_proj", "k_proj", "v_proj")
      .attention_output(branch + "o_proj")
      .in_layers(Layers::kMlp)
      .norm(layer + "norm", Weight::kMlpNorm)
      .in_layers(Layers::kAll);
  if (a.states.heads > 0) {
    rows.in_layers(Layers::kStates).state_space(branch).in_layers(Layers::kAll);
  }
  if (a.ffn_width > 0) rows.up_down(branch + "up_proj", branch + "down_proj");
  if (a.experts.count > 0) {
    rows.router(branch + "gate", false)
        .router_correction(branch + "gate.e_score_correction_bias", {a.experts.count})
        .experts(branch + "experts.{e}.", "up_proj", "down_proj")
        .ungated_shared_expert(branch + "shared_experts.up_proj",
                               branch + "shared_experts.down_proj");
  }
  rows.norm("backbone.norm_f", Weight::kFinalNorm).head("lm_head");
  return rows.list();
}

}  // namespace

Family nemotron_h_family() {
  return {.model_type = "nemotron_h",
          .read = read_nemotron_h,
          .rows = nemotron_h_rows,
          .ignored = {"mtp.*"},
          .prefix = "backbone.",
          .brings =
              "one branch in each layer: Mamba-2's state space, attention without positions, "
              "a squared ReLU without a gate, or experts of that kind routed by sigmoid "
              "scores with a selection bias, beside a shared one",
          .keys = nemotron_h_keys(),
          .other_prefix = "model."};
}

}  // namespace actsweep
