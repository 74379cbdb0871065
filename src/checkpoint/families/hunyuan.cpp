// Hunyuan 0.5B to 7B (dense): Llama's shape with norms of queries and keys after the rotation, and
// rotary positions of which a fixed alpha stretches the base. Hunyuan-A13B: the same with routed
// experts and a shared one in every layer.
#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

ConfigKeys hunyuan_keys() {
  return llama_keys().but({{"vocab_size", "int", 290943},
                           {"rms_norm_eps", "float", 1e-05},
                           {"pad_token_id", "int|None", 0},
                           {"eod_token_id", "int|None", 3},
                           {"pretraining_tp", "int", 1},
                           {"attention_dropout", "float|int", 0.0}},
                          {"mlp_bias"});
}

Architecture read_hunyuan(const Config& config) {
  config.positive("head_dim");  // transformers asks for the key
  RopeKeys rope;
  rope.may_have_alpha = true;
  Architecture facts = read_llama_facts(config, rope);
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.query_key_norm = QueryKeyNorm::kEachHead;
  facts.normalises_rotated = true;
  return facts;
}

ConfigKeys hunyuan_moe_keys() {
  auto keys = hunyuan_keys().but({{"sep_token_id", "int|None", 4},
                                  {"num_experts", "int", 1},
                                  {"output_router_logits", "bool", false},
                                  {"moe_topk", "int|list[int]", 1}});
  keys.aliases = {{"num_experts_per_tok", "moe_topk"}, {"num_local_experts", "num_experts"}};
  return keys;
}

/// Refuses a list, or a number for all layers, where one of them is another than what every layer
/// has. Such keys are published, and transformers has one value for all layers.
void require_in_all_layers(const Config& config, const char* key, int64_t value) {
  if (!config.has(key)) return;
  const auto& found = config.values().at(key);
  for (const auto& each : found.is_array() ? found : nlohmann::json::array({found})) {
    if (each != value) config.refuse(key, fmt::format("{} in every layer", value));
  }
}

/// A number of experts that is the same in all layers.
int64_t read_chosen(const Config& config, int64_t layers) {
  const char* key = "moe_topk";
  const auto& found = config.values().at(key);
  if (!found.is_array()) return config.positive(key, kMostCount);
  if (static_cast<int64_t>(found.size()) < layers || found.front() < 1) {
    config.refuse(key, fmt::format("a positive number for each of {} layers", layers));
  }
  const auto chosen = found.front().get<int64_t>();
  require_in_all_layers(config, key, chosen);
  return chosen;
}

/// Published switches that transformers does not read.
void check_hunyuan_switches(const Config& config, const Architecture& facts) {
  require_in_all_layers(config, "moe_intermediate_size", facts.ffn_width);
  require_in_all_layers(config, "num_shared_expert", 1);
  config.only("use_mixed_mlp_moe", true);
  config.only("use_qk_norm", true);
  config.only("use_cla", false);
  config.only("moe_layer_num_skipped", 0);
  config.only("norm_topk_prob", true);
}

Architecture read_hunyuan_moe(const Config& config) {
  Architecture facts = read_hunyuan(config);
  check_hunyuan_switches(config, facts);
  facts.experts = {config.positive("num_experts", kMostCount), read_chosen(config, facts.layers),
                   facts.ffn_width};
  facts.experts.renormalises = true;
  facts.experts.shared_width = facts.ffn_width;
  facts.experts.router.is_float32 = true;
  facts.experts.layers.assign(facts.layers, true);
  check_experts(config, facts, R"("num_experts" or "num_local_experts")", "moe_topk");
  return facts;
}

void add_hunyuan_mlp(const Architecture& a, TensorRows& rows) {
  const std::string mlp = "model.layers.{}.mlp.";
  if (a.experts.count == 0) {
    rows.gate_up_down(mlp);
    return;
  }
  rows.float32_router(mlp + "gate.wg")
      .experts(mlp + "experts.{e}.", "gate_proj", "up_proj", "down_proj")
      .shared_expert(mlp + "shared_mlp.");
}

std::vector<TensorRow> hunyuan_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.", attention = layer + "self_attn.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens")
      .norm(layer + "input_layernorm", Weight::kAttentionNorm)
      .query_key_value(attention, "q_proj", "k_proj", "v_proj")
      .query_key_norms(attention + "query_layernorm", attention + "key_layernorm", false, false)
      .attention_output(attention + "o_proj")
      .norm(layer + "post_attention_layernorm", Weight::kMlpNorm);
  add_hunyuan_mlp(a, rows);
  rows.norm("model.norm", Weight::kFinalNorm).head("lm_head");
  return rows.list();
}

}  // namespace

Family hunyuan_v1_dense_family() {
  return {"hunyuan_v1_dense",
          read_hunyuan,
          hunyuan_rows,
          {},
          "model.",
          "Llama's shape; query/key norms for each head after the rotation; rotary positions, by "
          "`alpha` too; biases of attention by `attention_bias`",
          hunyuan_keys()};
}

Family hunyuan_v1_moe_family() {
  return {"hunyuan_v1_moe",
          read_hunyuan_moe,
          hunyuan_rows,
          {},
          "model.",
          "`hunyuan_v1_dense` with routed experts and a shared one in every layer, the chosen "
          "weights renormalised",
          hunyuan_moe_keys()};
}

}  // namespace actsweep
