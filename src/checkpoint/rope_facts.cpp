#include "checkpoint/rope_facts.h"

#include <cmath>

#include "base/error.h"

namespace actsweep {
namespace {

using nlohmann::json;

const char* const kProportional = "proportional";
const char* const kOriginal = "original_max_position_embeddings";

/// 0.1 m ln(factor) + 1 (arXiv 2309.00071), 1 for a factor up to 1.
double yarn_magnitude(double factor, double m) {
  return factor <= 1 ? 1 : 0.1 * m * std::log(factor) + 1;
}

/// A key that transformers asks for, even where null stands for another value.
void require_key(const Config& section, const std::string& key) {
  if (!section.contains(key)) section.above_zero(key);
}

void read_llama3(const Config& section, Rope& rope) {
  rope.factor = section.above_zero("factor");
  rope.low_frequency = section.above_zero("low_freq_factor");
  rope.high_frequency = section.above_zero("high_freq_factor");
  rope.original_length = section.above_zero(kOriginal);
  if (rope.low_frequency >= rope.high_frequency) {
    section.refuse("high_freq_factor", "more than \"low_freq_factor\"");
  }
}

void read_yarn(const Config& section, double longest, Rope& rope) {
  // Null and 0 stand for the default, as Python's "or" has it.
  const auto or_default = [&](const char* key, double fallback) {
    const bool is_given = section.has(key) && section.number(key) != 0;
    return is_given ? section.above_zero(key) : fallback;
  };
  rope.original_length = section.above_zero(kOriginal);
  require_key(section, "factor");
  rope.factor = section.above_zero_or("factor", longest / rope.original_length);
  rope.beta_fast = or_default("beta_fast", 32);
  rope.beta_slow = or_default("beta_slow", 1);
  rope.rounds_range = !section.contains("truncate") || section.flag("truncate");
  double magnitude = yarn_magnitude(rope.factor, 1);
  const double one = section.number_or("mscale", 0), all = section.number_or("mscale_all_dim", 0);
  if (one != 0 && all != 0) {
    magnitude = yarn_magnitude(rope.factor, one) / yarn_magnitude(rope.factor, all);
  }
  rope.attention_factor = section.above_zero_or("attention_factor", magnitude);
  if (rope.theta == 1) section.refuse("rope_theta", "a base other than 1 for yarn");
}

/// Factors on cosines and sines: one for all lengths, or those of short and of long sequences.
void read_magnitudes(const Config& section, double longest, bool has_own, Rope& rope) {
  if (has_own) {
    rope.attention_factor = section.number("short_mscale");
    rope.long_attention_factor = section.number("long_mscale");
    return;
  }
  const double factor = section.above_zero_or("factor", longest / rope.original_length);
  double magnitude = 1;
  if (factor > 1 && !section.has("attention_factor")) {
    if (rope.original_length <= 1) section.refuse(kOriginal, "more than 1");
    magnitude = std::sqrt(1 + std::log(factor) / std::log(rope.original_length));
  }
  rope.attention_factor = section.above_zero_or("attention_factor", magnitude);
  rope.long_attention_factor = rope.attention_factor;
}

void read_longrope(const Config& section, double longest, bool has_magnitudes, Rope& rope) {
  rope.original_length = section.above_zero(kOriginal);
  read_magnitudes(section, longest, has_magnitudes, rope);
  const auto pairs = static_cast<size_t>(rope.width / 2);
  rope.short_divisors = section.numbers("short_factor", pairs);
  rope.long_divisors = section.numbers("long_factor", pairs);
}

/// A part of the pairs turns, with the frequencies that they have where all do.
void read_proportional(const Config& section, Rope& rope) {
  const char* key = "partial_rotary_factor";
  const double part = section.number_or(key, 1);
  if (part < 0 || part > 1) section.refuse(key, "a number from 0 to 1");
  rope.turned_pairs = static_cast<int64_t>(part * static_cast<double>(rope.width)) / 2;
  rope.factor = section.above_zero_or("factor", 1);
}

/// Whether it is "dynamic" in name only: its alpha stretches the base, whatever the length.
bool has_alpha(const Config& section, const RopeKeys& keys) {
  return keys.may_have_alpha && section.contains("alpha") &&
         !is_falsy(section.values().at("alpha"));
}

void stretch_base(const Config& section, Rope& rope) {
  if (rope.width <= 2) section.refuse("rope_type", "another one for heads of 2 channels");
  const auto width = static_cast<double>(rope.width);
  section.above_zero("factor");
  rope.theta *= std::pow(section.above_zero("alpha"), width / (width - 2));
}

void read_scaling(const Config& section, const std::string& type, double longest,
                  const RopeKeys& keys, Rope& rope) {
  if (type == "linear") {
    rope.scaling = RopeScaling::kLinear;
    rope.factor = section.above_zero("factor");
  } else if (type == "dynamic") {
    rope.scaling = RopeScaling::kDynamic;
    rope.factor = section.above_zero("factor");
    rope.original_length = longest;
    if (rope.width <= 2) section.refuse("rope_type", "another one for heads of 2 channels");
  } else if (type == "yarn") {
    rope.scaling = RopeScaling::kYarn;
    read_yarn(section, longest, rope);
  } else if (type == "llama3") {
    rope.scaling = RopeScaling::kLlama3;
    read_llama3(section, rope);
  } else if (type == "longrope") {
    rope.scaling = RopeScaling::kLongRope;
    read_longrope(section, longest, keys.has_magnitudes, rope);
  } else if (type == kProportional) {
    rope.scaling = RopeScaling::kProportional;
    read_proportional(section, rope);
  }
}

/// The length of its own, or that which yarn, llama3 and longrope have by default.
QueryGrowth read_growth(Config section, const Architecture& facts) {
  const auto& rope = facts.ropes.front();
  const bool has_default = rope.original_length > 0 && rope.scaling != RopeScaling::kDynamic;
  if (!section.contains(kOriginal)) {
    if (!has_default) section.refuse("rope_type", fmt::format("\"{}\" beside it", kOriginal));
    section.set(kOriginal, facts.max_positions, "max_position_embeddings");
  }
  return {section.number("llama_4_scaling_beta"), section.above_zero(kOriginal)};
}

/// The type, under its name of today or that of old files.
std::string read_type(const Config& section, const RopeKeys& keys) {
  const char* key =
      section.contains("rope_type") || !section.contains("type") ? "rope_type" : "type";
  if (!section.contains(key)) return "default";
  if (keys.may_have_axes && section.values().at(key) == "mrope") return "default";
  if (keys.may_be_proportional && section.values().at(key) == kProportional) return kProportional;
  if (keys.has_magnitudes) return section.one_of(key, {"default", "longrope"});
  return section.one_of(key, {"default", "linear", "dynamic", "yarn", "llama3", "longrope"});
}

/// Channels of a head that are rotated.
int64_t read_width(const Config& section, const std::string& type, const Architecture& facts,
                   const RopeKeys& keys) {
  const char* key = "partial_rotary_factor";
  const bool is_known = type == "default" || type == kProportional;
  const bool counts = keys.rotates_part || (!is_known && section.contains(key));
  const double fraction = counts ? section.number(key) : 1;
  const double width = static_cast<double>(facts.head_width) * fraction;
  const auto whole =
      std::isfinite(width) && std::abs(width) < kMostSize ? static_cast<int64_t>(width) : 0;
  const bool is_part = whole > 0 && whole <= facts.head_width && whole % 2 == 0;
  const bool is_fit = is_part && (keys.rotates_part || whole == facts.head_width);
  require(
      is_fit || section.contains(key), ErrorKind::kModel,
      "{}: \"head_dim\": expected an even number of a head's channels for rotary positions, found "
      "{}; without the key it is \"hidden_size\" / \"num_attention_heads\"",
      section.path(), facts.head_width);
  if (!is_fit) {
    section.refuse(key, keys.rotates_part
                            ? fmt::format("an even number of a head's {} channels (\"head_dim\")",
                                          facts.head_width)
                            : fmt::format("1 for rope type \"{}\"", type));
  }
  return whole;
}

}  // namespace

bool is_falsy(const json& value) {
  if (value.is_number()) return value.get<double>() == 0;
  return value.is_null() || value == false || value == "" ||
         (value.is_structured() && value.empty());
}

Rope read_rope_parameters(const Config& config, Config section, const Architecture& facts,
                          const RopeKeys& keys) {
  const auto set_default = [&](const std::string& key, const std::string& outer,
                               const json& other) {
    if (section.contains(key)) return;
    const auto value = config.contains(outer) ? config.values().at(outer) : other;
    const bool is_nothing = value.is_null() && other.is_discarded();  // null beside them
    if (value.is_discarded() || is_nothing) return;
    section.set(key, value, outer);
  };
  set_default("rope_theta", keys.theta_key, keys.theta);
  set_default("partial_rotary_factor", keys.fraction_key,
              keys.rotates_part ? json(keys.fraction) : json(json::value_t::discarded));
  set_default(kOriginal, "max_position_embeddings", facts.max_positions);
  const auto type = read_type(section, keys);
  Rope rope;
  rope.theta = section.above_zero("rope_theta");
  rope.width = read_width(section, type, facts, keys);
  if (type == "dynamic" && has_alpha(section, keys)) {
    stretch_base(section, rope);
  } else {
    read_scaling(section, type, static_cast<double>(facts.max_positions), keys, rope);
  }
  return rope;
}

void read_rope(const Config& config, Architecture& facts, const RopeKeys& keys) {
  const bool is_old =
      config.contains("rope_scaling") && !is_falsy(config.values().at("rope_scaling"));
  const std::string name = is_old ? "rope_scaling" : "rope_parameters";
  auto section = config.section(name);
  if (!config.has(name) && keys.parameters.is_object()) {
    section = section.with_values(keys.parameters);
  }
  for (const char* kind : {"full_attention", "sliding_attention"}) {
    if (section.contains(kind)) section.refuse(kind, "one set of parameters for all layers");
  }
  // Beside the parameters it counts before theirs, where the type has such a length.
  const auto type = read_type(section, keys);
  const bool has_length = type == "llama3" || type == "yarn" || type == "longrope";
  if (has_length && config.contains(kOriginal)) {
    section.set(kOriginal, config.values().at(kOriginal), kOriginal);
  }
  facts.ropes = {read_rope_parameters(config, section, facts, keys)};
  facts.rope_of_layer.assign(facts.layers, 0);
  if (keys.grows_queries) facts.query_growth = read_growth(section, facts);
}

}  // namespace actsweep
