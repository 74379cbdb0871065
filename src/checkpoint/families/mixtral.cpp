// Mixtral: Mistral's attention, and routed experts in every layer.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

ConfigKeys mixtral_keys() {
  auto keys = mistral_keys().but({{"rms_norm_eps", "float", 1e-05},
                                  {"sliding_window", "int|None", nullptr},
                                  {"num_experts_per_tok", "int", 2},
                                  {"num_local_experts", "int", 8},
                                  {"output_router_logits", "bool", false},
                                  {"router_aux_loss_coef", "float", 0.001},
                                  {"router_jitter_noise", "float", 0.0}});
  keys.aliases = {{"num_experts", "num_local_experts"}};
  return keys;
}

Architecture read_mixtral(const Config& config) {
  RopeKeys rope;
  rope.theta = 1e6;
  Architecture facts = read_llama_facts(config, rope);
  // transformers asks for the key here, though not for other scalings.
  const auto scaling = facts.ropes.front().scaling;
  const bool asks = scaling == RopeScaling::kDynamic || scaling == RopeScaling::kYarn ||
                    scaling == RopeScaling::kLongRope;
  if (asks && !config.has("head_dim")) config.positive("head_dim");
  read_window(config, facts);
  read_experts_of_all_layers(config, facts);
  return facts;
}

std::vector<TensorRow> mixtral_rows(const Architecture& a) {
  return llama_rows_around(a, [](const Architecture&, TensorRows& rows) {
    const std::string moe = "model.layers.{}.block_sparse_moe.";
    rows.router(moe + "gate", false)
        .experts(moe + "experts.{e}.", "w1", "w3", "w2")
        .stacked_under("block_sparse_moe", "mlp");
  });
}

}  // namespace

Family mixtral_family() {
  return {"mixtral",
          read_mixtral,
          mixtral_rows,
          {},
          "model.",
          "Mistral's attention; routed experts in every layer, the chosen weights "
          "renormalised",
          mixtral_keys()};
}

}  // namespace actsweep
