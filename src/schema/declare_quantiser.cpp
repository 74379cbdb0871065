// What is measured of a site for quantisers.
#include <limits>

#include "schema/declare_statistics.h"

namespace actsweep {

namespace {

using enum ElementType;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

std::vector<Dataset> declare_quantiser_statistics(const SiteGroup& site) {
  std::vector<Dataset> datasets = {
      {site.name + "/channel_min",
       kFloat32,
       {site.layer, site.channel},
       "1",
       "smallest signed activation over tokens (inf: none)",
       Merge::kMin},
      {site.name + "/channel_max",
       kFloat32,
       {site.layer, site.channel},
       "1",
       "largest signed activation over tokens (-inf: none)",
       Merge::kMax},
      {site.name + "/channel_max_token",
       kInt64,
       {site.layer, site.channel},
       "1",
       "first token with the channel's largest magnitude (-1: none above 0)",
       Merge::kOfMax,
       Axis::kToken,
       false,
       site.name + "/channel_max_magnitude",
       -1},
      {site.name + "/kurtosis_count",
       kInt64,
       {site.layer},
       "1",
       "tokens kept whose values are not all equal",
       Merge::kSum},
      {site.name + "/kurtosis_sum",
       kFloat64,
       {site.layer},
       "1",
       "sum over those tokens of the excess kurtosis over channels",
       Merge::kSum},
      {site.name + "/kurtosis_max",
       kFloat32,
       {site.layer},
       "1",
       "largest excess kurtosis of a token (-inf: none)",
       Merge::kMax},
      {site.name + "/block16_histogram",
       kInt64,
       {site.layer, Axis::kMagnitudeBin},
       "1",
       "blocks of 16 neighbouring channels by the upper 16 bits of their largest magnitude's "
       "float32",
       Merge::kSum},
      {site.name + "/block32_histogram",
       kInt64,
       {site.layer, Axis::kMagnitudeBin},
       "1",
       "the same of blocks of 32",
       Merge::kSum},
  };
  for (auto& dataset : datasets) {
    if (dataset.merge == Merge::kMin) dataset.neutral = kInfinity;
    if (dataset.merge == Merge::kMax) dataset.neutral = -kInfinity;
  }
  return datasets;
}

std::vector<Dataset> declare_channel_histogram(const SiteGroup& site) {
  return {{site.name + "/channel_histogram",
           kInt64,
           {site.layer, site.channel, Axis::kQuarter},
           "1",
           "tokens by the quarter octave of the magnitude",
           Merge::kSum}};
}

std::vector<Dataset> declare_format_errors(const SiteGroup& site) {
  return {
      {site.name + "/format_error_square",
       kFloat64,
       {site.layer, Axis::kFormat},
       "1",
       "sum over tokens and channels of the square of what a format loses",
       Merge::kSum},
      {site.name + "/format_square",
       kFloat64,
       {site.layer, Axis::kFormat},
       "1",
       "sum over tokens and channels of the activation's square",
       Merge::kSum},
  };
}

}  // namespace actsweep
