// DBRX: LayerNorm without biases, query, key and value fused and clipped, rotary positions, routed
// experts in every layer, each kind of whose matrices stand one below the other in one tensor.
#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

const ConfigKeys kDbrxKeys = {{{"d_model", "int|None", 2048},
                               {"n_heads", "int|None", 16},
                               {"n_layers", "int|None", 24},
                               {"max_seq_len", "int|None", 2048},
                               {"vocab_size", "int", 32000},
                               {"resid_pdrop", "float|None", 0.0},
                               {"emb_pdrop", "float|None", 0.0},
                               {"attn_config", "dict|None", nullptr},
                               {"ffn_config", "dict|None", nullptr},
                               {"use_cache", "bool", true},
                               {"initializer_range", "float", 0.02},
                               {"output_router_logits", "bool|None", false},
                               {"rope_parameters", "dict|None", nullptr},
                               {"pad_token_id", "int|None", nullptr},
                               {"bos_token_id", "int|None", nullptr},
                               {"eos_token_id", "int|list[int]|None", nullptr},
                               {"tie_word_embeddings", "bool", false}},
                              {{"num_attention_heads", "n_heads"},
                               {"num_hidden_layers", "n_layers"},
                               {"max_position_embeddings", "max_seq_len"}}};

/// Of the object "attn_config".
const ConfigKeys kDbrxAttentionKeys = {{{"attn_pdrop", "float|int", 0.0},
                                        {"clip_qkv", "int|float|None", nullptr},
                                        {"kv_n_heads", "int", 1}}};

/// Of the object "ffn_config"; the published file has whole numbers.
const ConfigKeys kDbrxExpertKeys = {{{"ffn_act_fn", "dict|None", nullptr},
                                     {"ffn_hidden_size", "int", 3584},
                                     {"moe_num_experts", "int", 4},
                                     {"moe_top_k", "int", 1},
                                     {"moe_jitter_eps", "float|int|None", nullptr},
                                     {"moe_loss_weight", "float|int", 0.01},
                                     {"moe_normalize_expert_weights", "float|int|None", 1.0}}};

/// The base stands beside the clip, and counts unless the parameters have one.
void read_dbrx_attention(const Config& config, Architecture& facts) {
  const char* place = "attn_config";
  if (!config.section(place).has("rope_theta")) {
    config.refuse(place, "an object with \"rope_theta\"");
  }
  const auto attention = config.section(place).declared(kDbrxAttentionKeys);
  facts.kv_heads = attention.positive("kv_n_heads", kMostCount);
  check_heads(attention, facts, "kv_n_heads");
  facts.qkv_clip = attention.above_zero("clip_qkv");  // transformers has no use for null here
  RopeKeys rope;
  rope.theta = attention.above_zero("rope_theta");
  read_rope(config, facts, rope);
  if (facts.ropes.front().theta != rope.theta) {
    config.refuse("rope_parameters", fmt::format("the base of \"attn_config\", {}", rope.theta));
  }
}

void read_dbrx_experts(const Config& config, Architecture& facts) {
  const auto ffn = config.section("ffn_config").declared(kDbrxExpertKeys);
  ffn.only("uniform_expert_assignment", false);
  const auto activation = ffn.section("ffn_act_fn");
  if (activation.contains("name")) facts.activation = read_activation(activation, "name");
  facts.experts = {ffn.positive("moe_num_experts", kMostCount),
                   ffn.positive("moe_top_k", kMostCount), ffn.positive("ffn_hidden_size")};
  const char* norm = "moe_normalize_expert_weights";
  facts.experts.renormalises = ffn.has(norm);
  if (ffn.has(norm) && ffn.number(norm) != 1) ffn.refuse(norm, "1 or null");
  facts.experts.layers.assign(facts.layers, true);
  check_experts(ffn, facts, "\"moe_num_experts\"", "moe_top_k");
}

Architecture read_dbrx(const Config& config) {
  config.only("tie_word_embeddings", false);
  Architecture facts =
      read_sizes(config, {"n_layers", "d_model", "n_heads", "", "", "", "max_seq_len"});
  config.only("hidden_size", facts.channels);  // the experts of transformers go by d_model alone
  facts.norm = {NormKind::kLayer, 1e-5};       // PyTorch's default: config.json has no key for it
  check_head_width(config, facts);
  read_dbrx_attention(config, facts);
  read_dbrx_experts(config, facts);
  return facts;
}

std::vector<TensorRow> dbrx_rows(const Architecture& a) {
  const std::string layer = "transformer.blocks.{}.", block = layer + "norm_attn_norm.";
  TensorRows rows(a);
  rows.embedding("transformer.wte")
      .norm(block + "norm_1", Weight::kAttentionNorm)
      .fused_query_key_value(block + "attn.Wqkv", FusedOrder::kParts)
      .attention_output(block + "attn.out_proj")
      .norm(block + "norm_2", Weight::kMlpNorm)
      .router(layer + "ffn.router.layer", false)
      .joined_experts(layer + "ffn.experts.mlp.")
      .norm("transformer.norm_f", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family dbrx_family() {
  return {"dbrx",
          read_dbrx,
          dbrx_rows,
          {},
          "transformer.",
          "LayerNorm without biases; query, key and value in one tensor, clipped by `clip_qkv`; "
          "grouped queries; rotary positions; routed experts in every layer",
          kDbrxKeys};
}

}  // namespace actsweep
