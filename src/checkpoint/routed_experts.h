// Routed experts as DeepSeek-V3 and its descendants have them: sigmoid scores, a selection bias,
// groups, a factor on the weights; ungated shared experts beside them; dense layers below.
//
// In: a config.json whose missing keys have their defaults. Out: the experts of an Architecture,
// and their rows. Refuses (ErrorKind::kModel) as Config does, and groups that experts do not fill.
#pragma once

#include "checkpoint/architecture.h"
#include "checkpoint/config.h"
#include "checkpoint/tensor_rows.h"

namespace actsweep {

/// How many experts, of which width, and the shared ones: `n_routed_experts`,
/// `num_experts_per_tok`, `moe_intermediate_size`, `n_shared_experts`. In all layers.
void read_routed_experts(const Config& config, Architecture& facts);

/// The first layers of `first_k_dense_replace` have a dense MLP.
void read_first_dense_layers(const Config& config, Architecture& facts);

/// `n_group`, `topk_group`: groups of experts, of which the router chooses some.
void read_expert_groups(const Config& config, Architecture& facts);

/// The router itself: sigmoid, `norm_topk_prob`, `routed_scaling_factor`, groups.
void read_sigmoid_router(const Config& config, Architecture& facts);

/// The factor on the weights, `routed_scaling_factor`.
void read_router_factor(const Config& config, Architecture& facts);

/// Layers behind the last for the tokens after the next: `num_nextn_predict_layers`, or under
/// transformers' name `num_mtp_layers`.
void read_prediction_layers(const Config& config, Architecture& facts);

/// Refuses a switch that a published config.json has and that transformers does not read, where it
/// says another thing than the model does.
void check_published_router(const Config& config);

/// The MLP of a layer under `prefix` ("model.layers.{}.mlp."): dense, or a router with a selection
/// bias where it has one, experts and shared experts.
void add_routed_mlp(const std::string& prefix, const Architecture& architecture, TensorRows& rows,
                    bool has_correction = true);

/// Llama's attention and norms around it.
std::vector<TensorRow> routed_llama_rows(const Architecture& architecture);

}  // namespace actsweep
