// The language models of Qwen2-VL, Qwen2.5-VL and Qwen3-VL: Qwen2, Qwen3 and Qwen3-MoE with
// positions along three axes, which are one where there is only text.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

const ConfigKeys kQwen2VlKeys = {{{"vocab_size", "int", 152064},
                                  {"hidden_size", "int", 8192},
                                  {"intermediate_size", "int", 29568},
                                  {"num_hidden_layers", "int", 80},
                                  {"num_attention_heads", "int", 64},
                                  {"num_key_value_heads", "int|None", 8},
                                  {"hidden_act", "str", "silu"},
                                  {"max_position_embeddings", "int", 32768},
                                  {"initializer_range", "float", 0.02},
                                  {"rms_norm_eps", "float", 1e-05},
                                  {"use_cache", "bool", true},
                                  {"use_sliding_window", "bool|None", false},
                                  {"sliding_window", "int|None", 4096},
                                  {"max_window_layers", "int|None", 80},
                                  {"layer_types", "list[str]|None", nullptr},
                                  {"attention_dropout", "float|int|None", 0.0},
                                  {"rope_parameters", "dict|None", nullptr},
                                  {"bos_token_id", "int|None", 151643},
                                  {"eos_token_id", "int|list[int]|None", 151645},
                                  {"pad_token_id", "int|None", nullptr}}};

const ConfigKeys kQwen3VlKeys = {{{"vocab_size", "int", 151936},
                                  {"hidden_size", "int", 4096},
                                  {"intermediate_size", "int", 22016},
                                  {"num_hidden_layers", "int", 32},
                                  {"num_attention_heads", "int", 32},
                                  {"num_key_value_heads", "int|None", 32},
                                  {"head_dim", "int", 128},
                                  {"hidden_act", "str", "silu"},
                                  {"max_position_embeddings", "int", 128000},
                                  {"initializer_range", "float", 0.02},
                                  {"rms_norm_eps", "float", 1e-06},
                                  {"use_cache", "bool", true},
                                  {"rope_parameters", "dict|None", nullptr},
                                  {"attention_bias", "bool", false},
                                  {"attention_dropout", "float|int", 0.0},
                                  {"pad_token_id", "int|None", nullptr}}};

ConfigKeys qwen3_vl_moe_keys() {
  auto keys = kQwen3VlKeys.but({{"hidden_size", "int", 2048},
                                {"intermediate_size", "int", 5632},
                                {"num_hidden_layers", "int", 24},
                                {"num_attention_heads", "int", 16},
                                {"num_key_value_heads", "int", 16},
                                {"head_dim", "int|None", nullptr},
                                {"tie_word_embeddings", "bool", true},
                                {"decoder_sparse_step", "int", 1},
                                {"moe_intermediate_size", "int", 1408},
                                {"num_experts_per_tok", "int", 4},
                                {"num_experts", "int", 60},
                                {"output_router_logits", "bool", false},
                                {"router_aux_loss_coef", "float", 0.001},
                                {"mlp_only_layers", "list[int]|None", nullptr},
                                {"bos_token_id", "int|None", nullptr},
                                {"eos_token_id", "int|list[int]|None", nullptr}});
  keys.aliases = {{"num_local_experts", "num_experts"}};
  return keys;
}

RopeKeys rope_keys(double theta) {
  RopeKeys keys;
  keys.theta = theta;
  keys.may_have_axes = true;
  return keys;
}

Architecture read_qwen2_vl(const Config& config) {
  Architecture facts = read_llama_facts(config, rope_keys(1e6));
  check_channels_of_heads(config, facts);
  facts.has_qkv_bias = true;
  read_upper_windows(config, facts);
  return facts;
}

Architecture read_qwen3_vl(const Config& config) {
  Architecture facts = read_llama_facts(config, rope_keys(5e5));
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.query_key_norm = QueryKeyNorm::kEachHead;
  return facts;
}

Architecture read_qwen3_vl_moe(const Config& config) {
  Architecture facts = read_qwen3_vl(config);
  config.only("norm_topk_prob", true);  // published, and not read by transformers
  read_qwen_experts(config, facts);
  return facts;
}

void add_vl_experts(const Architecture&, TensorRows& rows) {
  const std::string mlp = "model.layers.{}.mlp.";
  rows.gate_up_down(mlp).router(mlp + "gate", false);
  rows.stacked_experts(mlp + "experts.gate_up_proj", mlp + "experts.down_proj");
}

std::vector<TensorRow> qwen3_vl_moe_rows(const Architecture& a) {
  return llama_rows_around(a, add_vl_experts);
}

Family part(const char* type, Architecture (*read)(const Config&), const ConfigKeys& keys) {
  return {type, read, llama_rows, {}, "model.", "", keys};
}

}  // namespace

Family qwen2_vl_text_family() { return part("qwen2_vl_text", read_qwen2_vl, kQwen2VlKeys); }
Family qwen2_5_vl_text_family() { return part("qwen2_5_vl_text", read_qwen2_vl, kQwen2VlKeys); }
Family qwen3_vl_text_family() { return part("qwen3_vl_text", read_qwen3_vl, kQwen3VlKeys); }

Family qwen3_vl_moe_text_family() {
  auto family = part("qwen3_vl_moe_text", read_qwen3_vl_moe, qwen3_vl_moe_keys());
  family.rows = qwen3_vl_moe_rows;
  return family;
}

}  // namespace actsweep
