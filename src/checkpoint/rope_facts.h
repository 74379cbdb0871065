// Rotary positions of a config.json, as transformers 5 makes one set of parameters of its keys.
//
// In: `rope_parameters`, or in its place `rope_scaling` as files written before transformers 5 have
// it, and the keys beside them. Out: a Rope. Refuses (kModel) unknown types, missing parameters and
// numbers out of range.
#pragma once

#include "checkpoint/architecture.h"
#include "checkpoint/config.h"

namespace actsweep {

/// The keys beside the parameters, and what holds where nothing is said.
struct RopeKeys {
  double theta = 10000;
  std::string theta_key = "rope_theta";
  bool rotates_part = false;  // the family takes a part of each head's channels
  double fraction = 1;        // that part
  std::string fraction_key = "partial_rotary_factor";
  nlohmann::json parameters = {};  // where config.json has none
  bool grows_queries = false;      // by "llama_4_scaling_beta"
  bool may_have_alpha = false;  // "dynamic" with a fixed alpha: the base times alpha^(D / (D - 2))
  bool may_be_proportional = false;  // the type "proportional": the first pairs of a whole head
  bool may_have_axes = false;  // the type "mrope": of images; text has the same position along all
  // "longrope" says its own for lengths below and above; no other type.
  bool has_magnitudes = false;
  bool is_scaled = true;  // where kinds of layers have their own: "rope_scaling" is of this one too
};

/// One rope for all layers.
void read_rope(const Config& config, Architecture& facts, const RopeKeys& keys = {});

/// Two ropes: 0 of full layers, 1 of sliding ones, by sections of `rope_parameters`.
void read_ropes_of_kinds(const Config& config, Architecture& facts, const RopeKeys& full,
                         const RopeKeys& sliding);
void use_ropes_of_kinds(Architecture& facts, const std::vector<bool>& slides);

/// A rope from one set of parameters; `config` has the keys beside them.
Rope read_rope_parameters(const Config& config, Config section, const Architecture& facts,
                          const RopeKeys& keys = {});

/// True where Python would take a value for false: null, false, 0, "", [] and {}.
bool is_falsy(const nlohmann::json& value);

}  // namespace actsweep
