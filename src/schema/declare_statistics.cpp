#include "schema/declare_statistics.h"

#include "probe/site.h"

namespace actsweep {

namespace {

using enum Axis;
using enum ElementType;

}  // namespace

Axis token_axis(PerToken per_token) {
  return per_token == PerToken::kMassive ? Axis::kRow : Axis::kToken;
}

SiteGroup group_of(Site site, ValueWidth values) {
  const Axis layer = site == Site::kFinalNorm ? kFinalLayer : kLayer;
  const bool is_own = values == ValueWidth::kOwn && has_value_channels(site);
  switch (layout_of(site)) {
    case SiteLayout::kHeads:
      return {name_of(site), layer, is_own ? kHeadOutput : kQueryChannel};
    case SiteLayout::kKeys:
      return {name_of(site), layer, is_own ? kValueChannel : kKeyChannel};
    case SiteLayout::kShared:
      return {name_of(site), layer, site == Site::kQueryLatent ? kQueryLatent : kKeyLatent};
    case SiteLayout::kNeurons:
      return {name_of(site), layer, kNeuron};
    case SiteLayout::kOwned:
      break;
  }
  return {name_of(site), layer, kChannel};
}

ValueWidth value_width_of(const Architecture& architecture) {
  return architecture.has_value_width() ? ValueWidth::kOwn : ValueWidth::kOfKeys;
}

ValueWidth value_width_of(const Extents& extents) {
  return extents.contains(kHeadValue) ? ValueWidth::kOwn : ValueWidth::kOfKeys;
}

std::vector<Dataset> declare_token_extrema(const SiteGroup& site, PerToken per_token) {
  if (per_token == PerToken::kNone) return {};
  const Axis token = token_axis(per_token);
  return {
      {site.name + "/token_top_value",
       kFloat32,
       {site.layer, token, kOrder},
       "1",
       "signed activations of the largest magnitudes of a token",
       Merge::kRows},
      {site.name + "/token_top_channel",
       kUInt32,
       {site.layer, token, kOrder},
       "1",
       "channels of the largest magnitudes of a token (4294967295: none)",
       Merge::kRows},
      {site.name + "/token_median_magnitude",
       kFloat32,
       {site.layer, token},
       "1",
       "lower median over channels of the magnitude",
       Merge::kRows},
      {site.name + "/token_norm",
       kFloat32,
       {site.layer, token},
       "1",
       "Euclidean norm of a token's row",
       Merge::kRows},
  };
}

std::vector<Dataset> declare_sequence_extrema(const SiteGroup& site) {
  return {
      {site.name + "/sequence_top_value",
       kFloat32,
       {site.layer, kSequence, kOrder},
       "1",
       "signed activations of the largest magnitudes of a sequence",
       Merge::kRows},
      {site.name + "/sequence_top_channel",
       kUInt32,
       {site.layer, kSequence, kOrder},
       "1",
       "channels of the largest magnitudes of a sequence (4294967295: none)",
       Merge::kRows},
      {site.name + "/sequence_top_position",
       kUInt32,
       {site.layer, kSequence, kOrder},
       "1",
       "positions in the window of the largest magnitudes of a sequence (4294967295: none)",
       Merge::kRows},
      {site.name + "/sequence_median_magnitude",
       kFloat32,
       {site.layer, kSequence},
       "1",
       "lower median over tokens and channels of the magnitude",
       Merge::kRows},
  };
}

std::vector<Dataset> declare_channel_moments(const SiteGroup& site) {
  return {
      {site.name + "/count", kInt64, {site.layer}, "1", "tokens kept", Merge::kSum},
      {site.name + "/nonfinite_tokens",
       kInt64,
       {site.layer},
       "1",
       "tokens left out because a value is not finite",
       Merge::kSum},
      {site.name + "/channel_sum",
       kFloat64,
       {site.layer, site.channel},
       "1",
       "sum over tokens of the activation",
       Merge::kSum},
      {site.name + "/channel_sum_square",
       kFloat64,
       {site.layer, site.channel},
       "1",
       "sum over tokens of the activation's square",
       Merge::kSum},
      {site.name + "/channel_sum_fourth",
       kFloat64,
       {site.layer, site.channel},
       "1",
       "sum over tokens of the activation's fourth power",
       Merge::kSum},
      {site.name + "/channel_max_magnitude",
       kFloat32,
       {site.layer, site.channel},
       "1",
       "largest magnitude over tokens",
       Merge::kMax},
      {site.name + "/channel_count_above_6",
       kInt64,
       {site.layer, site.channel},
       "1",
       "tokens with a magnitude of 6 or more",
       Merge::kSum},
  };
}

std::vector<Dataset> declare_magnitude_histogram(const SiteGroup& site) {
  return {{site.name + "/magnitude_histogram",
           kInt64,
           {site.layer, kMagnitudeBin},
           "1",
           "finite values by the upper 16 bits of the magnitude's float32",
           Merge::kSum}};
}

std::vector<Dataset> declare_class_moments(const SiteGroup& site) {
  return {
      {site.name + "/class_count",
       kInt64,
       {site.layer, kClass},
       "1",
       "tokens kept of a class",
       Merge::kSum},
      {site.name + "/class_sum",
       kFloat64,
       {site.layer, kClass, site.channel},
       "1",
       "sum over the tokens of a class of the activation",
       Merge::kSum},
      {site.name + "/class_sum_square",
       kFloat64,
       {site.layer, kClass, site.channel},
       "1",
       "sum over the tokens of a class of the activation's square",
       Merge::kSum},
  };
}

std::vector<Dataset> declare_role_moments(const SiteGroup& site) {
  return {
      {site.name + "/role_count",
       kInt64,
       {site.layer, kRole, kClass},
       "1",
       "tokens kept of a role and class; corpora of chats alone",
       Merge::kSum},
      {site.name + "/role_sum",
       kFloat64,
       {site.layer, kRole, kClass, site.channel},
       "1",
       "sum over the tokens of a role and class of the activation; corpora of chats alone",
       Merge::kSum},
      {site.name + "/role_sum_square",
       kFloat64,
       {site.layer, kRole, kClass, site.channel},
       "1",
       "sum over the tokens of a role and class of the activation's square; corpora of chats "
       "alone",
       Merge::kSum},
  };
}

std::vector<Dataset> declare_loss_rows(PerToken per_token) {
  if (per_token == PerToken::kNone) return {};
  return {{"loss/token_nll",
           kFloat32,
           {token_axis(per_token)},
           "nat",
           "negative log-likelihood of the next token in the window (NaN: no target)",
           Merge::kRows}};
}

Dataset declare_scores_of_requests() {
  return {"requests/log_likelihood",
          kFloat64,
          {kSequence},
          "nat",
          "sum of the log-likelihoods of the tokens that are scored; corpora of tasks alone",
          Merge::kRows};
}

std::vector<Dataset> declare_classification() {
  const std::string alone = "; jobs with a classifier alone";
  return {
      {"classification/label",
       kUInt32,
       {kSequence},
       "1",
       "class of the image, counted along the root attribute label_names" + alone,
       Merge::kRows},
      {"classification/predicted",
       kUInt32,
       {kSequence},
       "1",
       "class of the largest logit, of equal ones the first (4294967295: no logit is a number)" +
           alone,
       Merge::kRows},
      {"classification/label_rank",
       kUInt32,
       {kSequence},
       "1",
       "classes that stand before the label: of larger logits, of equal ones those of smaller "
       "number, and all others where its logit is not a number (0: top-1 is right, below 5: "
       "top-5)" +
           alone,
       Merge::kRows},
      {"classification/label_log_likelihood",
       kFloat64,
       {kSequence},
       "nat",
       "log of the softmax of the logits at the label" + alone,
       Merge::kRows},
  };
}

std::vector<Dataset> declare_loss_sums() {
  return {
      {"loss/nll_sum",
       kFloat64,
       {},
       "nat",
       "sum over targets of the negative log-likelihood",
       Merge::kSum},
      {"loss/target_count", kInt64, {}, "1", "tokens with a target", Merge::kSum},
      {"loss/window_mean_sum",
       kFloat64,
       {},
       "nat",
       "sum over windows of the mean negative log-likelihood of their targets",
       Merge::kSum},
      {"loss/window_count", kInt64, {}, "1", "windows with a target", Merge::kSum},
  };
}

}  // namespace actsweep
