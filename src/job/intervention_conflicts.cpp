// What the keys of an [[intervention]] table may not say together.
#include <fmt/format.h>

#include "job/intervention_keys.h"

namespace actsweep {
namespace {

using Intervention = Job::Intervention;
using Conflicts = std::vector<std::pair<std::string, std::string>>;  // key at fault, and why

std::optional<std::string> conflict_of_means(const Intervention& i) {
  const int means = (i.value ? 1 : 0) + (i.from ? 1 : 0);
  if (i.action != Action::kMean || means == 1) return std::nullopt;
  return fmt::format("\"mean\" takes its mean from value or from: expected one of them, found {}",
                     means == 0 ? "neither" : "both");
}

/// What a table says of the place, by the key at fault.
Conflicts conflicts_of_place(const Intervention& i, const std::set<std::string>& given) {
  Conflicts conflicts;
  const auto refuse = [&](bool is_wrong, const char* key, const std::string& why) {
    if (is_wrong) conflicts.emplace_back(key, why);
  };
  refuse(i.site != Site::kResidual && i.layer == 0, "layer",
         fmt::format("the embedding has no site \"{}\": expected a block, from 1 on, found 0",
                     name_of(i.site)));
  const auto count = given.count("channels") + given.count("heads") + given.count("experts");
  for (const char* key : {"heads", "experts"}) {
    if (!given.contains(key)) continue;
    const bool is_empty = i.heads.empty() && i.experts.empty();
    refuse(is_empty, key, "expected one or more, found none");
    refuse(count > 1, key, "expected channels, heads or experts, found more than one of them");
  }
  refuse(given.contains("heads") && !has_heads(i.site), "heads",
         fmt::format("expected site = \"query\", \"key\", \"value\" or \"attention_heads\", which "
                     "have heads, found \"{}\"",
                     name_of(i.site)));
  return conflicts;
}

/// The same of routed experts.
Conflicts conflicts_of_experts(const Intervention& i) {
  Conflicts conflicts;
  if (i.experts.empty()) {
    if (i.action == Action::kBar) {
      conflicts.emplace_back("action",
                             "\"bar\" keeps experts from being chosen: expected experts, "
                             "found none");
    }
    return conflicts;
  }
  if (i.site != Site::kMlpOutput) {
    conflicts.emplace_back("experts",
                           fmt::format("expected site = \"mlp_output\", to which experts "
                                       "add, found \"{}\"",
                                       name_of(i.site)));
  }
  if (i.action != Action::kZero && i.action != Action::kBar) {
    conflicts.emplace_back("action", fmt::format("expected \"zero\" or \"bar\" of experts, found "
                                                 "\"{}\"",
                                                 name_of(i.action)));
  }
  if (i.tokens == "argmax") {
    conflicts.emplace_back("tokens",
                           "expected tokens by their place or class, of experts, found "
                           "\"argmax\"");
  }
  return conflicts;
}

/// The same of scores.
Conflicts conflicts_of_scores(const Intervention& i) {
  Conflicts conflicts;
  if (i.action != Action::kShift) return conflicts;
  const auto refuse = [&](bool is_wrong, const char* key, const std::string& why) {
    if (is_wrong) conflicts.emplace_back(key, why);
  };
  refuse(
      i.site != Site::kKey, "site",
      fmt::format("expected \"key\" of \"shift\", which adds to the scores on keys, found \"{}\"",
                  name_of(i.site)));
  refuse(i.heads.empty() && i.channel_choice != ChannelChoice::kAll, "channels",
         "expected \"all\", or heads, of \"shift\", which adds to the scores of whole heads");
  refuse(i.tokens == "argmax", "tokens",
         "expected tokens by their place or class, of \"shift\", found \"argmax\"");
  return conflicts;
}

/// The same of a weight.
Conflicts conflicts_of_weight(const Intervention& i, const std::set<std::string>& given) {
  Conflicts conflicts;
  const auto refuse = [&](bool is_wrong, const char* key, const std::string& why) {
    if (is_wrong) conflicts.emplace_back(key, why);
  };
  for (const char* key : {"row", "column"}) {
    refuse(given.contains(key) && !i.is_weight, key, "expected weight = \"down\", which takes it");
    refuse(!given.contains(key) && i.is_weight, "weight",
           fmt::format("expected its {}, found none", key));
  }
  if (!i.is_weight) return conflicts;
  for (const char* key : {"site", "channels", "heads", "experts", "tokens"}) {
    refuse(given.contains(key), key, "expected weight = \"down\" without it");
  }
  refuse(i.layer.value_or(0) == 0, "layer",
         "expected the block of the weight, from 1 on, found " +
             (i.layer ? std::string("0") : std::string("\"all\"")));
  refuse(i.action != Action::kZero && i.action != Action::kValue && i.action != Action::kScale,
         "action",
         fmt::format("expected \"zero\", \"value\" or \"scale\" of a weight, found \"{}\"",
                     name_of(i.action)));
  return conflicts;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> conflicts_of(const Intervention& i,
                                                              const std::set<std::string>& given,
                                                              bool compares) {
  auto conflicts = conflicts_of_place(i, given);
  for (auto& conflict : conflicts_of_experts(i)) conflicts.push_back(std::move(conflict));
  for (auto& conflict : conflicts_of_scores(i)) conflicts.push_back(std::move(conflict));
  for (auto& conflict : conflicts_of_weight(i, given)) conflicts.push_back(std::move(conflict));
  const auto refuse = [&](bool is_wrong, const char* key, const std::string& why) {
    if (is_wrong) conflicts.emplace_back(key, why);
  };
  const std::string action = name_of(i.action);
  const bool takes_value =
      i.action == Action::kValue || i.action == Action::kScale || i.action == Action::kShift;
  if (const auto conflict = conflict_of_means(i)) refuse(true, "action", *conflict);
  refuse(takes_value && !i.value, "action",
         fmt::format("\"{}\" needs a number: expected value, found none", action));
  const bool takes_no_number = i.action == Action::kZero || i.action == Action::kNoise ||
                               i.action == Action::kShuffle || i.action == Action::kBar;
  refuse(takes_no_number && i.value, "value", fmt::format("\"{}\" takes no number", action));
  refuse(i.action == Action::kNoise && !i.from, "action",
         "\"noise\" needs means and deviations: expected from, found none");
  refuse(
      i.action != Action::kMean && i.action != Action::kNoise && i.from, "from",
      fmt::format("expected action = \"mean\" or \"noise\", which take it, found \"{}\"", action));
  refuse(!i.is_control() && given.contains("count"), "count",
         "expected channels = \"median\" or \"random\", which take it");
  refuse(!i.is_random() && given.contains("seed"), "seed",
         "expected channels = \"random\", or action = \"noise\" or \"shuffle\", which take it");
  refuse(i.site != Site::kResidual && i.from && i.tokens == "registers", "tokens",
         fmt::format("means of registers are those of the site \"residual\": expected tokens of "
                     "text or of images, found \"registers\" at \"{}\"",
                     name_of(i.site)));
  refuse(
      i.variant && !compares, "variant",
      "variants are compared by their loss, or by the classes that they tell of images: expected "
      "[statistics] loss = true, or classifier, found neither");
  return conflicts;
}

}  // namespace actsweep
