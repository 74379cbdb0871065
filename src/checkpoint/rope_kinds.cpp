// Rotary positions of models whose full and sliding layers have their own.
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

/// The parameters of a kind of layers, {"rope_type": "default"} where nothing is said of it.
nlohmann::json parameters_of(const Config& config, const std::string& kind, const RopeKeys& keys) {
  const auto ropes = config.section("rope_parameters");
  auto values = ropes.section(kind).values();
  if (!ropes.has(kind)) values["rope_type"] = "default";
  if (!keys.is_scaled || !config.has("rope_scaling")) return values;
  if (config.has("rope_parameters") && !ropes.has(kind)) {
    ropes.refuse(kind, "an object, because \"rope_scaling\" is there too");
  }
  values.update(config.section("rope_scaling").values());
  return values;
}

Rope read_kind(const Config& config, const Architecture& facts, const std::string& kind,
               const RopeKeys& keys) {
  // Whether yarn rounds its range is read beside the kinds, not in them.
  const auto ropes = config.section("rope_parameters");
  auto parameters = parameters_of(config, kind, keys);
  parameters.erase("truncate");
  if (ropes.contains("truncate")) parameters["truncate"] = ropes.values().at("truncate");
  const auto section = ropes.section(kind).with_values(parameters);
  return read_rope_parameters(config, section, facts, keys);
}

}  // namespace

void read_ropes_of_kinds(const Config& config, Architecture& facts, const RopeKeys& full,
                         const RopeKeys& sliding) {
  facts.ropes = {read_kind(config, facts, "full_attention", full),
                 read_kind(config, facts, "sliding_attention", sliding)};
}

void use_ropes_of_kinds(Architecture& facts, const std::vector<bool>& slides) {
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    facts.rope_of_layer[layer] = slides[layer] ? 1 : 0;
  }
}

}  // namespace actsweep
