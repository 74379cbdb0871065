// Qwen3.5's language models: Qwen3-Next's layers with the delta rule's projections in four tensors;
// a dense MLP in all layers, or routed experts with a shared one in all of them.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

ConfigKeys qwen3_5_keys() {
  return qwen3_next_keys().but(
      {{"vocab_size", "int", 248320},
       {"hidden_size", "int", 4096},
       {"intermediate_size", "int", 12288},
       {"num_hidden_layers", "int", 32},
       {"num_key_value_heads", "int", 4}},
      {"decoder_sparse_step", "moe_intermediate_size", "shared_expert_intermediate_size",
       "num_experts_per_tok", "num_experts", "norm_topk_prob", "output_router_logits",
       "router_aux_loss_coef", "mlp_only_layers"});
}

ConfigKeys qwen3_5_moe_keys() {
  return qwen3_next_keys().but(
      {{"vocab_size", "int", 248320},
       {"num_hidden_layers", "int", 40},
       {"num_experts_per_tok", "int", 8},
       {"num_experts", "int", 256}},
      {"intermediate_size", "decoder_sparse_step", "norm_topk_prob", "mlp_only_layers"});
}

Architecture read_qwen3_5(const Config& config) {
  return read_qwen3_next_facts(config, {}, /*rope=*/{});
}

Architecture read_qwen3_5_moe(const Config& config) {
  SizeKeys sizes;
  sizes.ffn_width = "";
  Architecture facts = read_qwen3_next_facts(config, sizes, /*rope=*/{});
  facts.experts = {config.positive("num_experts", kMostCount),
                   config.positive("num_experts_per_tok", kMostCount),
                   config.positive("moe_intermediate_size")};
  facts.experts.renormalises = true;
  facts.experts.shared_width = config.positive("shared_expert_intermediate_size");
  facts.experts.layers.assign(facts.layers, true);
  check_experts(config, facts);
  return facts;
}

void add_qwen3_5_mixers(const Architecture& a, TensorRows& rows) {
  const std::string in = "model.layers.{}.linear_attn.in_proj_";
  add_qwen3_next_mixers(a, rows);
  rows.in_layers(TensorRow::Layers::kDelta)
      .delta_projections(in + "qkv", in + "z", in + "b", in + "a")
      .in_layers(TensorRow::Layers::kAll);
}

std::vector<TensorRow> qwen3_5_rows(const Architecture& a) {
  TensorRows rows(a);
  add_qwen3_5_mixers(a, rows);
  rows.norm("model.layers.{}.post_attention_layernorm", Weight::kMlpNorm)
      .gate_up_down("model.layers.{}.mlp.")
      .norm("model.norm", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

std::vector<TensorRow> qwen3_5_moe_rows(const Architecture& a) {
  TensorRows rows(a);
  add_qwen3_5_mixers(a, rows);
  add_qwen_moe_rows(a, rows);
  return rows.list();
}

}  // namespace

Family qwen3_5_text_family() {
  return {"qwen3_5_text",
          read_qwen3_5,
          qwen3_5_rows,
          {"mtp.*"},
          "model.",
          "Qwen3-Next's layers with a dense MLP; the delta rule's projections in four tensors",
          qwen3_5_keys()};
}

Family qwen3_5_moe_text_family() {
  return {"qwen3_5_moe_text",
          read_qwen3_5_moe,
          qwen3_5_moe_rows,
          {"mtp.*"},
          "model.",
          "Qwen3-Next's layers with routed experts and a gated shared expert in all of them; the "
          "delta rule's projections in four tensors",
          qwen3_5_moe_keys()};
}

}  // namespace actsweep
