// Which modules of a model read what is measured: the names of its linear layers, for exports.
//
// In: a model's rows. What a row's product reads follows from its weight, so that no family is
// asked. Out: modules by the names of their tensors, "{}" in the place of the layer and "{e}" in
// that of the expert; left out is what reads no site, such as what is made of a normed latent.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "checkpoint/tensor_rows.h"

namespace actsweep {

struct LinearLayer {
  std::string reads;            // a site; "expert_input" or "expert_hidden" of routed experts
  std::string module;           // "model.layers.{}.self_attn.q_proj"
  std::vector<int64_t> layers;  // 0-based
  double factor = 1;            // what it reads is the site's rows times this
};

/// Each module once, in the order of the rows. `saved_name` of a tensor: that of transformers.
std::vector<LinearLayer> list_linear_layers(
    const Architecture& architecture, const std::vector<TensorRow>& rows,
    const std::function<std::string(const std::string&)>& saved_name);

/// A list of objects; `layers` is left out where a module is in all layers, `factor` where it is 1,
/// and `numbers`, which layers have in their names, where these are their places.
nlohmann::json described(const std::vector<LinearLayer>& layers, const Architecture& architecture);

}  // namespace actsweep
