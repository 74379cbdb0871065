// Llama 4 (text): attention within chunks where layers have rotary positions, and over the whole
// sequence where they have none; norms of rotated queries and keys without weights; experts that
// read what their router's weight has multiplied, beside a shared one.
#include <algorithm>

#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

ConfigKeys llama4_text_keys() {
  return llama_keys().but({{"vocab_size", "int", 202048},
                           {"hidden_size", "int", 5120},
                           {"intermediate_size", "int", 8192},
                           {"intermediate_size_mlp", "int", 16384},
                           {"num_hidden_layers", "int", 48},
                           {"num_attention_heads", "int", 40},
                           {"num_key_value_heads", "int", 8},
                           {"head_dim", "int", 128},
                           {"max_position_embeddings", "int", 131072},
                           {"rms_norm_eps", "float", 1e-05},
                           {"attention_dropout", "float|int", 0.0},
                           {"num_experts_per_tok", "int", 1},
                           {"num_local_experts", "int", 16},
                           {"moe_layers", "list[int]|None", nullptr},
                           {"interleave_moe_layer_step", "int", 1},
                           {"use_qk_norm", "bool", true},
                           {"output_router_logits", "bool", false},
                           {"router_aux_loss_coef", "float", 0.001},
                           {"router_jitter_noise", "float", 0.0},
                           {"no_rope_layers", "list[int]|None", nullptr},
                           {"no_rope_layer_interval", "int", 4},
                           {"attention_chunk_size", "int|None", 8192},
                           {"layer_types", "list[str]|None", nullptr},
                           {"attn_temperature_tuning", "bool", true},
                           {"floor_scale", "int", 8192},
                           {"attn_scale", "float", 0.1}},
                          {"pretraining_tp", "mlp_bias"});
}

/// By layer: true where it has rotary positions. In `no_rope_layers` 0 stands for a layer without.
std::vector<bool> read_llama4_rotation(const Config& config, const Architecture& facts) {
  const char* key = "no_rope_layers";
  const auto period = config.positive("no_rope_layer_interval");
  const auto& values = config.values().at(key);
  if (is_falsy(values)) return all_but_every(period, facts.layers);
  if (static_cast<int64_t>(values.size()) != facts.layers) {
    config.refuse(key, fmt::format("a list of {} numbers (\"num_hidden_layers\")", facts.layers));
  }
  std::vector<bool> rotates;
  for (const auto& value : values) rotates.push_back(value != 0);
  return rotates;
}

/// Layers with rotary positions see their chunk, unless `layer_types` says which do.
void read_llama4_chunks(const Config& config, Architecture& facts, std::vector<bool> is_chunked) {
  const char* key = "layer_types";
  const int64_t chunk = config.positive("attention_chunk_size");
  for (int64_t layer = 0; config.has(key) && layer < facts.layers; ++layer) {
    const auto& type = config.values().at(key)[layer];
    is_chunked[layer] = type == "chunked_attention";
    if (!is_chunked[layer] && type != "full_attention") {
      config.refuse(key, "\"chunked_attention\" or \"full_attention\"");
    }
  }
  for (const bool is_it : is_chunked) facts.chunk.push_back(is_it ? chunk : 0);
}

/// By layer: whether it has experts.
std::vector<bool> read_llama4_expert_layers(const Config& config, const Architecture& facts) {
  const auto period = config.positive("interleave_moe_layer_step");
  auto found = all_but_every(period, facts.layers);
  found.flip();
  if (!config.has("moe_layers")) return found;
  const auto& listed = config.values().at("moe_layers");
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    found[layer] = std::find(listed.begin(), listed.end(), layer) != listed.end();
  }
  return found;
}

void read_llama4_experts(const Config& config, Architecture& facts) {
  const auto layers = read_llama4_expert_layers(config, facts);
  if (std::find(layers.begin(), layers.end(), true) == layers.end()) return;
  auto& experts = facts.experts;
  experts = {config.positive("num_local_experts", kMostCount),
             config.positive("num_experts_per_tok", kMostCount),
             config.positive("intermediate_size")};
  check_experts(config, facts);
  experts.shared_width = experts.ffn_width;
  experts.scales_input = true;
  experts.router.score = RouterScore::kSigmoid;
  experts.router.chooses_by_logits = true;
  experts.layers = layers;
}

Architecture read_llama4_text(const Config& config) {
  SizeKeys sizes;
  sizes.ffn_width = "intermediate_size_mlp";
  Architecture facts = read_sizes(config, sizes);
  facts.norm.epsilon = config.epsilon("rms_norm_eps");
  facts.activation = read_activation(config, "hidden_act");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  RopeKeys rope;
  rope.theta = 500000;
  read_rope(config, facts, rope);
  facts.ropes.front().is_interleaved = true;
  const auto rotates = read_llama4_rotation(config, facts);
  rotate_layers(facts, rotates);
  read_llama4_chunks(config, facts, rotates);
  if (config.flag("use_qk_norm")) facts.query_key_norm = QueryKeyNorm::kEachHead;
  facts.normalises_rotated = true;
  if (config.flag("attn_temperature_tuning")) {
    facts.query_growth = {config.number("attn_scale"),
                          static_cast<double>(config.positive("floor_scale")), 1, true};
  }
  read_llama4_experts(config, facts);
  return facts;
}

void add_llama4_attention(const std::string& prefix, const Architecture& a, TensorRows& rows) {
  rows.query_key_value(prefix, "q_proj", "k_proj", "v_proj");
  if (a.query_key_norm != QueryKeyNorm::kNone) {
    rows.in_layers(TensorRow::Layers::kRotated)
        .plain_head_norm(prefix + "q_norm", Weight::kQueryNorm)
        .plain_head_norm(prefix + "k_norm", Weight::kKeyNorm)
        .in_layers(TensorRow::Layers::kAll);
  }
  rows.attention_output(prefix + "o_proj");
}

std::vector<TensorRow> llama4_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.", mlp = layer + "feed_forward.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens").norm(layer + "input_layernorm", Weight::kAttentionNorm);
  add_llama4_attention(layer + "self_attn.", a, rows);
  rows.norm(layer + "post_attention_layernorm", Weight::kMlpNorm).gate_up_down(mlp);
  if (a.experts.count > 0) {
    rows.router(mlp + "router", false)
        .stacked_in_out_experts(mlp + "experts.gate_up_proj", mlp + "experts.down_proj")
        .shared_expert(mlp + "shared_expert.");
  }
  rows.norm("model.norm", Weight::kFinalNorm).head("lm_head");
  return rows.list();
}

}  // namespace

Family llama4_text_family() {
  return {"llama4_text",
          read_llama4_text,
          llama4_rows,
          {},
          "model.",
          "attention within chunks; interleaved rotary positions, then norms of queries and keys "
          "without weights; layers without positions, whose queries grow with the logarithm of "
          "theirs; experts whose input the sigmoid of their logit multiplies, beside a shared one, "
          "in all or some of the layers",
          llama4_text_keys()};
}

}  // namespace actsweep
