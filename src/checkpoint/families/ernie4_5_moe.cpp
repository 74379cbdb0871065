// ERNIE 4.5 MoE: Llama's attention with interleaved rotary positions; in some layers experts chosen
// by softmax scores and a selection bias, beside shared ones.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

ConfigKeys ernie4_5_moe_keys() {
  auto keys =
      llama_keys().but({{"vocab_size", "int", 103424},
                        {"pad_token_id", "int|None", 0},
                        {"hidden_size", "int", 2560},
                        {"intermediate_size", "int", 12288},
                        {"num_hidden_layers", "int", 28},
                        {"num_attention_heads", "int", 20},
                        {"num_key_value_heads", "int|None", 4},
                        {"max_position_embeddings", "int", 131072},
                        {"rms_norm_eps", "float", 1e-5},
                        {"tie_word_embeddings", "bool", true},
                        {"use_bias", "bool|None", false},
                        {"moe_intermediate_size", "int", 1536},
                        {"moe_k", "int|None", 6},
                        {"moe_num_experts", "int|None", 64},
                        {"moe_num_shared_experts", "int|None", 2},
                        {"moe_layer_start_index", "int|None", 1},
                        {"moe_layer_end_index", "int|None", -1},
                        {"moe_layer_interval", "int|None", 1},
                        {"moe_norm_min", "float|None", 1e-12},
                        {"output_router_logits", "bool|None", false},
                        {"router_aux_loss_coef", "float|None", 0.001},
                        {"head_dim", "int"}},
                       {"pretraining_tp", "attention_bias", "attention_dropout", "mlp_bias"});
  keys.aliases = {{"num_experts", "moe_num_experts"}, {"num_experts_per_tok", "moe_k"}};
  return keys;
}

int64_t whole_number(const Config& config, const char* key) {
  const auto& value = config.values().at(key);
  if (!value.is_number_integer()) config.refuse(key, "a whole number");
  return value.get<int64_t>();
}

void read_routed_layers(const Config& config, Architecture& facts) {
  const int64_t first = whole_number(config, "moe_layer_start_index");
  const int64_t end = whole_number(config, "moe_layer_end_index");
  const int64_t last = end == -1 ? facts.layers - 1 : end;
  const int64_t step = config.positive("moe_layer_interval");
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    facts.experts.layers.push_back((layer + 1) % step == 0 && layer >= first && layer <= last);
  }
}

Architecture read_ernie4_5_moe(const Config& config) {
  config.positive("num_key_value_heads");  // transformers has no use for null here
  RopeKeys rope;
  rope.theta = 500000;
  Architecture facts = read_llama_facts(config, rope);
  facts.ropes.front().is_interleaved = true;
  facts.has_qkv_bias = facts.has_output_bias = config.flag("use_bias");
  facts.has_mlp_bias = facts.has_head_bias = config.flag("use_bias");
  facts.experts = {config.positive("moe_num_experts", kMostCount),
                   config.positive("moe_k", kMostCount), config.positive("moe_intermediate_size")};
  facts.experts.renormalises = true;
  facts.experts.router.is_float32 = true;
  facts.experts.router.least_sum = config.epsilon("moe_norm_min");
  const char* shared = "moe_num_shared_experts";
  if (whole_number(config, shared) > 0) {
    facts.experts.shared_width = config.positive(shared, kMostCount) * facts.experts.ffn_width;
  }
  read_routed_layers(config, facts);
  check_experts(config, facts, R"("moe_num_experts" or "num_experts")", "moe_k");
  return facts;
}

void add_ernie_mlp(const Architecture& a, TensorRows& rows) {
  const std::string mlp = "model.layers.{}.mlp.";
  rows.gate_up_down(mlp)
      .float32_router(mlp + "gate")
      .router_correction(mlp + "moe_statics.e_score_correction_bias", {1, a.experts.count})
      .experts(mlp + "experts.{e}.", "gate_proj", "up_proj", "down_proj");
  if (a.experts.shared_width > 0) rows.shared_expert(mlp + "shared_experts.");
}

std::vector<TensorRow> ernie4_5_moe_rows(const Architecture& a) {
  return llama_rows_around(a, add_ernie_mlp);
}

}  // namespace

Family ernie4_5_moe_family() {
  return {
      "ernie4_5_moe",
      read_ernie4_5_moe,
      ernie4_5_moe_rows,
      {"model.mtp_block.*", "model.mtp_emb_norm.*", "model.mtp_hidden_norm.*",
       "model.mtp_linear_proj.*"},
      "model.",
      "Llama with interleaved rotary positions; experts chosen by softmax scores and a selection "
      "bias, beside shared ones, in some layers; biases by `use_bias`",
      ernie4_5_moe_keys()};
}

}  // namespace actsweep
