#include "checkpoint/linear_layers.h"

#include <algorithm>
#include <set>
#include <string_view>

namespace actsweep {
namespace {

/// What the product of a weight reads; empty where it is no product, or reads no site.
std::string read_by(const TensorRow& row, const Architecture& a) {
  switch (row.weight) {
    case Weight::kQkv:
    case Weight::kOutputGate:
    case Weight::kQueryDown:
    case Weight::kKeyValueDown:
    case Weight::kMixerIn:
      return "attention_input";
    case Weight::kLatentQuery:
      return a.latent.query == 0 ? "attention_input" : "";
    case Weight::kAttentionOutput:
      return row.cut == Cut::kQueryHeads ? "attention_heads" : "";
    case Weight::kRouter:
      return a.experts.are_normed_apart ? "" : "mlp_input";
    case Weight::kGateUp:
    case Weight::kSharedGate:
      return "mlp_input";
    case Weight::kDown:
      return "mlp_hidden";
    case Weight::kExpertGateUp:
      return "expert_input";
    case Weight::kExpertDown:
      return "expert_hidden";
    default:
      return "";
  }
}

/// By what the model multiplies the rows of the site before their product.
double factor_of(const TensorRow& row, const Architecture& a) {
  switch (row.weight) {
    case Weight::kQkv:
      return a.attention_input_scale;
    case Weight::kMixerIn:
      return a.states.input_scale;
    default:
      return 1;
  }
}

/// "….experts.0.up_proj.weight" -> "….experts.{e}.up_proj".
std::string module_of(const TensorRow& row) {
  constexpr std::string_view kWeight = ".weight", kFirst = ".0.";
  auto name = row.name;
  if (name.ends_with(kWeight)) name.resize(name.size() - kWeight.size());
  if (row.only_unit < 0 || row.is_stacked) return name;
  return name.replace(name.find(kFirst), kFirst.size(), ".{e}.");
}

/// Layers that have a tensor of the name, by whichever row.
std::vector<int64_t> layers_of(const std::string& name, const std::vector<TensorRow>& rows,
                               const Architecture& a) {
  std::vector<int64_t> layers;
  for (int64_t layer = 0; layer < a.layers; ++layer) {
    const auto has = [&](const TensorRow& row) { return row.name == name && row.is_in(a, layer); };
    if (std::any_of(rows.begin(), rows.end(), has)) layers.push_back(layer);
  }
  return layers;
}

}  // namespace

std::vector<LinearLayer> list_linear_layers(
    const Architecture& a, const std::vector<TensorRow>& rows,
    const std::function<std::string(const std::string&)>& saved_name) {
  std::vector<LinearLayer> found;
  std::set<std::string> seen;
  for (const auto& row : rows) {
    const auto reads = row.is_per_layer() ? read_by(row, a) : "";
    if (reads.empty() || row.constant || row.only_unit > 0) continue;
    if (!seen.insert(row.name).second) continue;
    found.push_back(
        {reads, saved_name(module_of(row)), layers_of(row.name, rows, a), factor_of(row, a)});
  }
  return found;
}

nlohmann::json described(const std::vector<LinearLayer>& layers, const Architecture& a) {
  auto list = nlohmann::json::array();
  for (const auto& layer : layers) {
    list.push_back({{"reads", layer.reads}, {"module", layer.module}});
    if (static_cast<int64_t>(layer.layers.size()) < a.layers) list.back()["layers"] = layer.layers;
    if (layer.factor != 1) list.back()["factor"] = layer.factor;
    if (!a.layer_numbers.empty()) list.back()["numbers"] = a.layer_numbers;
  }
  return list;
}

}  // namespace actsweep
