// Granite 3 with routed experts in every layer, and the same with a shared one beside them.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

ConfigKeys granitemoe_keys() {
  return granite_keys().but({{"attention_dropout", "float|int|None", 0.0},
                             {"embedding_multiplier", "float|int|None", 1.0},
                             {"logits_scaling", "float|int|None", 1.0},
                             {"residual_multiplier", "float|int|None", 1.0},
                             {"attention_multiplier", "float|int|None", 1.0},
                             {"num_local_experts", "int|None", 8},
                             {"num_experts_per_tok", "int|None", 2},
                             {"output_router_logits", "bool|None", false},
                             {"router_aux_loss_coef", "float|None", 0.001}},
                            {"mlp_bias"});
}

Architecture read_granitemoe(const Config& config) {
  Architecture facts = read_granite_facts(config);
  read_experts_of_all_layers(config, facts);
  return facts;
}

Architecture read_granitemoeshared(const Config& config) {
  Architecture facts = read_granitemoe(config);
  const char* key = "shared_intermediate_size";
  if (config.values().at(key) != 0) facts.experts.shared_width = config.positive(key);
  return facts;
}

void add_granite_experts(const Architecture& a, TensorRows& rows) {
  const std::string layer = "model.layers.{}.", moe = layer + "block_sparse_moe.";
  rows.router(moe + "router.layer", false)
      .stacked_experts(moe + "input_linear.weight", moe + "output_linear.weight");
  if (a.experts.shared_width > 0) {
    rows.fused_shared_expert(layer + "shared_mlp.input_linear", layer + "shared_mlp.output_linear");
  }
}

std::vector<TensorRow> granitemoe_rows(const Architecture& a) {
  return llama_rows_around(a, add_granite_experts);
}

}  // namespace

Family granitemoe_family() {
  return {"granitemoe",
          read_granitemoe,
          granitemoe_rows,
          {},
          "model.",
          "Granite's attention and scales; routed experts in every layer, in stacked tensors, the "
          "chosen weights renormalised",
          granitemoe_keys()};
}

Family granitemoeshared_family() {
  return {"granitemoeshared",
          read_granitemoeshared,
          granitemoe_rows,
          {},
          "model.",
          "`granitemoe` with a shared expert without a gate beside the routed ones",
          granitemoe_keys().but({{"shared_intermediate_size", "int", 0}})};
}

}  // namespace actsweep
