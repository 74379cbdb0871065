// DeepSeek-V3, R1 and V3.1, Kimi K2 and GLM-4.7-Flash: latent attention; dense layers first, then
// experts chosen by sigmoid scores and a selection bias, within groups, beside shared ones.
#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/latent_facts.h"
#include "checkpoint/routed_experts.h"

namespace actsweep {
namespace {

ConfigKeys deepseek_v3_keys() {
  auto keys = llama_keys().but({{"vocab_size", "int", 129280},
                                {"hidden_size", "int", 7168},
                                {"intermediate_size", "int", 18432},
                                {"moe_intermediate_size", "int", 2048},
                                {"num_hidden_layers", "int", 61},
                                {"num_attention_heads", "int", 128},
                                {"num_key_value_heads", "int|None", 128},
                                {"n_shared_experts", "int", 1},
                                {"n_routed_experts", "int", 256},
                                {"output_router_logits", "bool", false},
                                {"routed_scaling_factor", "float", 2.5},
                                {"kv_lora_rank", "int", 512},
                                {"q_lora_rank", "int|None", 1536},
                                {"qk_rope_head_dim", "int", 64},
                                {"v_head_dim", "int|None", 128},
                                {"qk_nope_head_dim", "int", 128},
                                {"n_group", "int|None", 8},
                                {"topk_group", "int|None", 4},
                                {"num_experts_per_tok", "int|None", 8},
                                {"first_k_dense_replace", "int|None", 3},
                                {"norm_topk_prob", "bool|None", true},
                                {"max_position_embeddings", "int", 4096},
                                {"bos_token_id", "int|None", 0},
                                {"eos_token_id", "int|list[int]|None", 1},
                                {"rope_interleave", "bool|None", true},
                                {"attention_dropout", "float|int|None", 0.0},
                                {"num_mtp_layers", "int", 1}},
                               {"mlp_bias", "head_dim"});
  keys.aliases = {{"num_local_experts", "n_routed_experts"}};
  return keys;
}

ConfigKeys glm4_moe_lite_keys() {
  auto keys = deepseek_v3_keys().but({{"vocab_size", "int", 154880},
                                      {"hidden_size", "int", 2048},
                                      {"intermediate_size", "int", 10240},
                                      {"moe_intermediate_size", "int", 1536},
                                      {"num_hidden_layers", "int", 47},
                                      {"num_attention_heads", "int", 20},
                                      {"num_key_value_heads", "int", 20},
                                      {"n_routed_experts", "int", 64},
                                      {"routed_scaling_factor", "float", 1.8},
                                      {"q_lora_rank", "int|None", 768},
                                      {"v_head_dim", "int", 256},
                                      {"qk_nope_head_dim", "int", 192},
                                      {"n_group", "int", 1},
                                      {"topk_group", "int", 1},
                                      {"num_experts_per_tok", "int", 4},
                                      {"norm_topk_prob", "bool", true},
                                      {"max_position_embeddings", "int", 202752},
                                      {"rms_norm_eps", "float", 1e-5},
                                      {"pretraining_tp", "int", 1},
                                      {"rope_interleave", "bool", true},
                                      {"attention_dropout", "float|int", 0.0},
                                      {"mlp_layer_types", "list[str]|None", nullptr}},
                                     {"first_k_dense_replace", "num_mtp_layers"});
  keys.aliases.push_back({"head_dim", "qk_rope_head_dim"});
  return keys;
}

Architecture read_attention_and_experts(const Config& config, const RopeKeys& rope = {}) {
  Architecture facts = read_latent_facts(config, rope);
  facts.ropes.front().is_interleaved = config.flag("rope_interleave");
  read_routed_experts(config, facts);
  read_prediction_layers(config, facts);
  return facts;
}

Architecture read_deepseek_v3(const Config& config) {
  // transformers would rotate as many channels as this key says.
  config.only("head_dim", config.values().at("qk_rope_head_dim"));
  Architecture facts = read_attention_and_experts(config);
  read_first_dense_layers(config, facts);
  read_sigmoid_router(config, facts);
  return facts;
}

/// By `mlp_layer_types`, else dense in the first layer alone.
void read_sparse_layers(const Config& config, Architecture& facts) {
  const char* key = "mlp_layer_types";
  if (!config.has(key)) {
    config.only("first_k_dense_replace", 1);  // published, and not read by transformers
    facts.experts.layers.front() = false;
    return;
  }
  const auto& types = config.values().at(key);
  if (static_cast<int64_t>(types.size()) != facts.layers) {
    config.refuse(key, fmt::format("a list of {} types (\"num_hidden_layers\")", facts.layers));
  }
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    const auto& type = types.at(layer);
    if (type != "sparse" && type != "dense") config.refuse(key, "\"dense\" or \"sparse\"");
    facts.experts.layers[layer] = type == "sparse";
  }
}

Architecture read_glm4_moe_lite(const Config& config) {
  RopeKeys rope;
  rope.rotates_part = true;  // and the part is the whole
  Architecture facts = read_attention_and_experts(config, rope);
  read_sparse_layers(config, facts);
  read_sigmoid_router(config, facts);
  return facts;
}

std::vector<TensorRow> deepseek_v3_rows(const Architecture& a) { return latent_rows(a, true); }

const char* const kBrings =
    "latent attention; dense layers first, then experts routed by sigmoid scores with a selection "
    "bias, in groups by `n_group`, beside shared ones";

}  // namespace

Family deepseek_v3_family() {
  return {"deepseek_v3", read_deepseek_v3, deepseek_v3_rows,  {},
          "model.",      kBrings,          deepseek_v3_keys()};
}

Family glm4_moe_lite_family() {
  return {"glm4_moe_lite",
          read_glm4_moe_lite,
          deepseek_v3_rows,
          {},
          "model.",
          "DeepSeek-V3, the dense layers by `mlp_layer_types`",
          glm4_moe_lite_keys()};
}

}  // namespace actsweep
