#include "schema/derive.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "base/error.h"
#include "schema/criterion.h"
#include "schema/declare.h"
#include "schema/declare_statistics.h"

namespace actsweep {

namespace {

/// The values of a field, whose length is known.
template <typename T>
std::span<const T> values_of(const MergedFields& fields, const std::string& path, int64_t length) {
  const auto found = fields.values.find(path);
  require(found != fields.values.end(), ErrorKind::kOutput, "{}: expected this field, found none",
          path);
  const size_t expected_bytes = static_cast<size_t>(length) * sizeof(T);
  require(found->second.size() == expected_bytes, ErrorKind::kOutput,
          "{}: expected {} values ({} bytes), found {} bytes", path, length, expected_bytes,
          found->second.size());
  return {reinterpret_cast<const T*>(found->second.data()), static_cast<size_t>(length)};
}

template <typename T>
Column column_of(const std::string& path, const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {path, {bytes.begin(), bytes.end()}};
}

/// The lower edge of the bin of the lower median; NaN where nothing was counted.
float median_of(std::span<const int64_t> histogram) {
  int64_t total = 0;
  for (const int64_t count : histogram) total += count;
  int64_t below = 0;
  for (size_t bin = 0; bin < histogram.size(); ++bin) {
    below += histogram[bin];
    if (below > (total - 1) / 2) return magnitude_bin_edge(static_cast<int64_t>(bin));
  }
  return std::numeric_limits<float>::quiet_NaN();
}

void derive_massive_corpus(const Job& job, const MergedFields& fields, Derived& derived) {
  const std::string site = name_of(Site::kResidual);
  const auto histogram =
      values_of<int64_t>(fields, site + "/magnitude_histogram", fields.layers * kMagnitudeBins);
  const auto magnitude =
      values_of<float>(fields, site + "/channel_max_magnitude", fields.layers * fields.channels);
  const Criterion criterion(job);
  std::vector<int64_t> finding_layer;
  std::vector<uint32_t> finding_channel;
  std::vector<float> finding_magnitude, finding_ratio, median;
  for (int64_t layer = 0; layer < fields.layers; ++layer) {
    median.push_back(median_of(histogram.subspan(layer * kMagnitudeBins, kMagnitudeBins)));
    for (int64_t channel = 0; channel < fields.channels; ++channel) {
      const float largest = magnitude[layer * fields.channels + channel];
      if (!criterion.passes(largest, median.back())) continue;
      finding_layer.push_back(layer);
      finding_channel.push_back(static_cast<uint32_t>(channel));
      finding_magnitude.push_back(largest);
      finding_ratio.push_back(largest / median.back());
    }
  }
  derived.findings = static_cast<int64_t>(finding_layer.size());
  derived.datasets.push_back(column_of("massive_corpus/layer", finding_layer));
  derived.datasets.push_back(column_of("massive_corpus/channel", finding_channel));
  derived.datasets.push_back(column_of("massive_corpus/max_magnitude", finding_magnitude));
  derived.datasets.push_back(column_of("massive_corpus/ratio_to_corpus_median", finding_ratio));
  derived.datasets.push_back(column_of("massive_corpus/median_magnitude", median));
}

/// The place and size of the largest value of each layer; -1 and NaN where a layer has none.
struct Largest {
  std::vector<int64_t> place;
  std::vector<float> value;
};

Largest largest_of(const MergedFields& fields, Site site) {
  const std::string group = name_of(site);
  const auto path = group + "/channel_max_magnitude";
  const auto count = values_of<int64_t>(fields, group + "/count", fields.layers);
  const auto bytes = static_cast<int64_t>(fields.values.at(path).size());
  const int64_t width = bytes / static_cast<int64_t>(sizeof(float)) / fields.layers;
  const auto magnitude = values_of<float>(fields, path, fields.layers * width);
  Largest largest;
  for (int64_t layer = 0; layer < fields.layers; ++layer) {
    const auto begin = magnitude.begin() + layer * width;
    const auto most = std::max_element(begin, begin + width);
    const bool is_measured = count[layer] > 0;
    largest.place.push_back(is_measured ? most - begin : -1);
    largest.value.push_back(is_measured ? *most : std::numeric_limits<float>::quiet_NaN());
  }
  return largest;
}

/// Candidates for super weights (arXiv 2411.07191): the largest input and output of each down
/// projection, and the weight between them.
void derive_super_weights(const MergedFields& fields, const DownWeight& down_weight,
                          Derived& derived) {
  const auto input = largest_of(fields, Site::kMlpHidden);
  const auto output = largest_of(fields, Site::kMlpOutput);
  std::vector<float> weight;
  for (int64_t layer = 0; layer < fields.layers; ++layer) {
    const bool is_known = input.place[layer] >= 0 && output.place[layer] >= 0;
    weight.push_back(is_known ? down_weight(layer, input.place[layer], output.place[layer])
                              : std::numeric_limits<float>::quiet_NaN());
  }
  derived.datasets.push_back(column_of("super_weights/neuron", input.place));
  derived.datasets.push_back(column_of("super_weights/input", input.value));
  derived.datasets.push_back(column_of("super_weights/channel", output.place));
  derived.datasets.push_back(column_of("super_weights/output", output.value));
  derived.datasets.push_back(column_of("super_weights/weight", weight));
}

/// exp(sum / count): 0 / 0 gives the NaN that stands for "no target".
double exp_mean(double sum, int64_t count) { return std::exp(sum / static_cast<double>(count)); }

void derive_perplexities(const Job& job, const MergedFields& fields, Derived& derived) {
  const double nll_sum = values_of<double>(fields, "loss/nll_sum", 1)[0];
  const int64_t targets = values_of<int64_t>(fields, "loss/target_count", 1)[0];
  const double window_mean_sum = values_of<double>(fields, "loss/window_mean_sum", 1)[0];
  const int64_t windows = values_of<int64_t>(fields, "loss/window_count", 1)[0];
  const bool has_rows = job.output.per_token != PerToken::kNone;
  const std::string path = has_rows ? "loss/token_nll" : "loss/nll_sum";
  derived.attributes.emplace_back(path, "perplexity", exp_mean(nll_sum, targets));
  derived.attributes.emplace_back(path, "windows_perplexity", exp_mean(window_mean_sum, windows));
}

void derive_variants(const MergedFields& fields, Derived& derived) {
  const auto variants =
      static_cast<int64_t>(fields.values.at("variants/nll_sum").size() / sizeof(double));
  const auto exp_means = [&](const char* sum_path, const char* count_path) {
    const auto sum = values_of<double>(fields, sum_path, variants);
    const auto count = values_of<int64_t>(fields, count_path, variants);
    std::vector<double> means;
    for (int64_t i = 0; i < variants; ++i) means.push_back(exp_mean(sum[i], count[i]));
    return means;
  };
  derived.datasets.push_back(
      column_of("variants/perplexity", exp_means("variants/nll_sum", "variants/target_count")));
  derived.datasets.push_back(
      column_of("variants/windows_perplexity",
                exp_means("variants/window_mean_sum", "variants/window_count")));
}

}  // namespace

Derived derive(const Job& job, const MergedFields& fields, const DownWeight& down_weight) {
  Derived derived;
  if (job.measures(Site::kResidual)) derive_massive_corpus(job, fields, derived);
  if (job.measures(Site::kMlpHidden) && job.measures(Site::kMlpOutput)) {
    derive_super_weights(fields, down_weight, derived);
  }
  if (job.statistics.loss) derive_perplexities(job, fields, derived);
  if (fields.values.contains("variants/nll_sum")) derive_variants(fields, derived);
  return derived;
}

}  // namespace actsweep
