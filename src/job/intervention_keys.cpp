#include "job/intervention_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "job/key_access.h"
#include "job/token_selector.h"

namespace actsweep {
namespace {

using Intervention = Job::Intervention;
using nlohmann::json;

constexpr std::array kActions = {"zero",  "mean",    "value", "scale",
                                 "noise", "shuffle", "bar",   "shift"};
constexpr int64_t kMostChannels = 1'000'000;                       // beyond any model's
constexpr std::array kChannelWords = {"all", "median", "random"};  // from ChannelChoice::kAll on

template <size_t kCount>
size_t place_of(const std::array<const char*, kCount>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) - words.begin();
}

json layer_of(const Intervention& i) { return i.layer ? json(*i.layer) : json("all"); }

void set_layer(Intervention& i, const json& value) {
  i.layer = value.is_string() ? std::nullopt : std::optional(value.get<int64_t>());
}

/// The sites of a layer: the final norm is in none.
std::vector<std::string> site_words() {
  auto words = all_words<Site>();
  std::erase(words, name_of(Site::kFinalNorm));
  return words;
}

/// Files of before sites could be named have no word of theirs.
json site_of(const Intervention& i) {
  return i.site == Site::kResidual ? json() : json(name_of(i.site));
}

json channels_of(const Intervention& i) {
  if (!i.heads.empty() || !i.experts.empty() || i.is_weight) return {};
  if (i.channel_choice == ChannelChoice::kListed) return i.channels;
  return kChannelWords.at(static_cast<size_t>(i.channel_choice) - 1);
}

void set_channels(Intervention& i, const json& value) {
  if (value.is_array()) {
    i.channel_choice = ChannelChoice::kListed;
    i.channels = value.get<std::vector<int64_t>>();
  } else {
    const size_t place = place_of(kChannelWords, value.get<std::string>());
    i.channel_choice = static_cast<ChannelChoice>(place + 1);
  }
}

template <typename Get, typename Set>
KeyAccess access(Get get, Set set) {
  return {[=](const Job& job) -> json { return get(job.interventions.back()); },
          [=](Job& job, const json& value) { set(job.interventions.back(), value); }};
}

template <typename Value>
KeyAccess optional_member(std::optional<Value> Intervention::*member) {
  return access([=](const Intervention& i) { return i.*member ? json(*(i.*member)) : json(); },
                [=](Intervention& i, const json& value) { i.*member = value.get<Value>(); });
}

/// Numbers that stand in the place of channels.
KeyAccess numbers(std::vector<int64_t> Intervention::*member) {
  return access(
      [=](const Intervention& i) { return (i.*member).empty() ? json() : json(i.*member); },
      [=](Intervention& i, const json& value) { i.*member = value.get<std::vector<int64_t>>(); });
}

/// A number that has no value where `is_read` says that nothing reads it.
KeyAccess number_read(int64_t Intervention::*member, bool (Intervention::*is_read)() const) {
  return access([=](const Intervention& i) { return (i.*is_read)() ? json(i.*member) : json(); },
                [=](Intervention& i, const json& value) { i.*member = value.get<int64_t>(); });
}

/// The keys that say where.
std::vector<JobKey> place_keys() {
  return {
      {.section = kInterventionSection,
       .name = "layer",
       .kind = ValueKind::kIntegerOrWord,
       .access = access(layer_of, set_layer),
       .is_required = true,
       .in_identity = true,
       .words = {"all"},
       .least = 0,
       .meaning = "layer whose output is changed, 0 for the embedding's; all: every layer whose "
                  "output is a block's input. Of a site inside: the block, from 1 on; all: every "
                  "block that has the site"},
      {.section = kInterventionSection,
       .name = "site",
       .kind = ValueKind::kWord,
       .access = access(site_of,
                        [](Intervention& i, const json& value) { from_json_value(value, i.site); }),
       .in_identity = true,
       .words = site_words(),
       .meaning = "where in the layer",
       .without = "`residual`"},
      {.section = kInterventionSection,
       .name = "channels",
       .kind = ValueKind::kIntegersOrWord,
       .access = access(channels_of, set_channels),
       .is_required = true,
       .instead = {"heads", "experts", "weight"},
       .in_identity = true,
       .words = {kChannelWords.begin(), kChannelWords.end()},
       .least = 0,
       .meaning = "channels of a matched token, or neurons; as controls those nearest its median "
                  "magnitude, random ones"},
      {.section = kInterventionSection,
       .name = "heads",
       .kind = ValueKind::kIntegers,
       .access = numbers(&Intervention::heads),
       .in_identity = true,
       .least = 0,
       .meaning =
           "in place of channels all channels of these heads, at the sites query, key, value "
           "and attention_heads; of key and value the key/value heads",
       .without = "none"},
      {.section = kInterventionSection,
       .name = "experts",
       .kind = ValueKind::kIntegers,
       .access = numbers(&Intervention::experts),
       .in_identity = true,
       .least = 0,
       .meaning =
           "in place of channels these routed experts, at the site mlp_output: zero sets their "
           "output to 0 and they are chosen as before; bar keeps them from being chosen",
       .without = "none"},
      {.section = kInterventionSection,
       .name = "weight",
       .kind = ValueKind::kWord,
       .access = access([](const Intervention& i) { return i.is_weight ? json("down") : json(); },
                        [](Intervention& i, const json&) { i.is_weight = true; }),
       .in_identity = true,
       .words = {"down"},
       .meaning = "in place of channels and tokens one weight of the dense MLP's down projection",
       .without = "none"},
      {.section = kInterventionSection,
       .name = "row",
       .kind = ValueKind::kInteger,
       .access = optional_member(&Intervention::row),
       .in_identity = true,
       .least = 0,
       .meaning = "of that weight: the channel that it writes to",
       .without = "none"},
      {.section = kInterventionSection,
       .name = "column",
       .kind = ValueKind::kInteger,
       .access = optional_member(&Intervention::column),
       .in_identity = true,
       .least = 0,
       .meaning = "of that weight: the neuron that it reads",
       .without = "none"},
      {.section = kInterventionSection,
       .name = "tokens",
       .kind = ValueKind::kTokens,
       .access = access([](const Intervention& i) { return i.is_weight ? json() : json(i.tokens); },
                        [](Intervention& i, const json& value) { i.tokens = value; }),
       .is_required = true,
       .instead = {"weight"},
       .in_identity = true,
       .words = token_words(),
       .meaning = "tokens of each sequence"},
  };
}

/// The keys that say what.
std::vector<JobKey> action_keys() {
  return {
      {.section = kInterventionSection,
       .name = "action",
       .kind = ValueKind::kWord,
       .access = access([](const Intervention& i) { return name_of(i.action); },
                        [](Intervention& i, const json& value) {
                          i.action = static_cast<Action>(place_of(kActions, value));
                        }),
       .is_required = true,
       .in_identity = true,
       .words = {kActions.begin(), kActions.end()},
       .meaning =
           "what is written in their place; bar, of experts alone: none is chosen; shift, at "
           "the site key alone: value is added to the scores of all queries on these keys"},
      {.section = kInterventionSection,
       .name = "value",
       .kind = ValueKind::kReal,
       .access = optional_member(&Intervention::value),
       .in_identity = true,
       .meaning = "number that is written (mean, value), or added (shift), or the factor (scale)",
       .without = "none"},
      {.section = kInterventionSection,
       .name = "from",
       .kind = ValueKind::kText,
       .access = optional_member(&Intervention::from),
       .meaning =
           "sweep file of the same model with the means, and for noise the deviations: of the "
           "token's class, or of the register, by layer and channel",
       .without = "none"},
      {.section = kInterventionSection,
       .name = "count",
       .kind = ValueKind::kInteger,
       .access = number_read(&Intervention::count, &Intervention::is_control),
       .in_identity = true,
       .most = kMostChannels,
       .meaning = "number of channels of a control",
       .without = "`2`"},
      {.section = kInterventionSection,
       .name = "seed",
       .kind = ValueKind::kInteger,
       .access = number_read(&Intervention::seed, &Intervention::is_random),
       .in_identity = true,
       .least = 0,
       .meaning = "seed of random channels, of noise and of shuffles",
       .without = "`0`"},
      {.section = kInterventionSection,
       .name = "variant",
       .kind = ValueKind::kName,
       .access = optional_member(&Intervention::variant),
       .in_identity = true,
       .meaning = "variant that it belongs to: the sweep stays as it is, and the variant's loss is "
                  "measured beside it",
       .without = "the sweep itself"},
  };
}

}  // namespace

const char* name_of(Action action) { return kActions.at(static_cast<size_t>(action)); }

bool has_heads(Site site) {
  return site == Site::kQuery || site == Site::kKey || site == Site::kValue ||
         site == Site::kAttentionHeads;
}

std::vector<std::string> Job::variants() const {
  std::vector<std::string> names;
  for (const auto& intervention : interventions) {
    const auto& name = intervention.variant;
    if (name && std::find(names.begin(), names.end(), *name) == names.end()) names.push_back(*name);
  }
  return names;
}

const std::vector<JobKey>& intervention_keys() {
  static const std::vector<JobKey> keys = [] {
    auto all = place_keys();
    for (auto& key : action_keys()) all.push_back(std::move(key));
    return all;
  }();
  return keys;
}

}  // namespace actsweep
