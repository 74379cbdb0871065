#include "schema/derive.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <span>

#include "base/error.h"
#include "schema/declare.h"

namespace actsweep {
namespace {

constexpr int64_t kBinOf1 = 0x3f80;
const DownWeight kNoWeight = [](int64_t, int64_t, int64_t) { return 0.0f; };

template <typename T>
std::vector<std::byte> to_bytes(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

template <typename T>
std::vector<T> column(const Derived& derived, const std::string& path) {
  for (const Column& one : derived.datasets) {
    if (one.path != path) continue;
    std::vector<T> values(one.values.size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), one.values.data(), one.values.size());
    return values;
  }
  ADD_FAILURE() << path << " is missing";
  return {};
}

/// Two layers of three channels: the first with a median of 1, the second without any finite value.
struct Fields {
  std::vector<int64_t> histogram = std::vector<int64_t>(2 * kMagnitudeBins);
  std::vector<float> max_magnitude = {1000.0f, 5000.0f, 999.9f, 0, 0, 0};

  Fields() {
    histogram[kBinOf1 - 1] = 4;
    histogram[kBinOf1] = 1;
    histogram[kBinOf1 + 9] = 5;
  }
  MergedFields merged() const {
    MergedFields fields;
    fields.layers = 2;
    fields.channels = 3;
    fields.values["residual/magnitude_histogram"] = to_bytes(histogram);
    fields.values["residual/channel_max_magnitude"] = to_bytes(max_magnitude);
    return fields;
  }
};

TEST(Derive, ChannelsAreHeldAgainstTheLowerCorpusMedian) {
  const Derived derived = derive(Job{}, Fields().merged(), kNoWeight);
  EXPECT_EQ(derived.findings, 2);
  EXPECT_EQ(column<int64_t>(derived, "massive_corpus/layer"), (std::vector<int64_t>{0, 0}));
  EXPECT_EQ(column<uint32_t>(derived, "massive_corpus/channel"), (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(column<float>(derived, "massive_corpus/max_magnitude"),
            (std::vector<float>{1000.0f, 5000.0f}));
  EXPECT_EQ(column<float>(derived, "massive_corpus/ratio_to_corpus_median"),
            (std::vector<float>{1000.0f, 5000.0f}));
  const auto median = column<float>(derived, "massive_corpus/median_magnitude");
  ASSERT_EQ(median.size(), 2u);
  EXPECT_EQ(median[0], 1.0f);
  EXPECT_TRUE(std::isnan(median[1]));
}

TEST(Derive, AMedianOfZeroPassesNothing) {
  Fields fields;
  fields.histogram[0] = 1000;
  const Derived derived = derive(Job{}, fields.merged(), kNoWeight);
  EXPECT_EQ(derived.findings, 0);
  EXPECT_EQ(column<float>(derived, "massive_corpus/median_magnitude")[0], 0.0f);
}

TEST(Derive, GivesEveryDerivedDatasetThatIsDeclared) {
  const Derived derived = derive(Job{}, Fields().merged(), kNoWeight);
  size_t declared = 0;
  for (const Dataset& dataset : declare_datasets(Job{})) {
    if (dataset.merge != Merge::kDerived) continue;
    EXPECT_EQ(derived.datasets.at(declared).path, dataset.path);
    ++declared;
  }
  EXPECT_EQ(declared, derived.datasets.size());
}

TEST(Derive, PerplexitiesAreOverTokensAndOverWindows) {
  Job job;
  job.statistics.loss = true;
  MergedFields fields = Fields().merged();
  fields.values["loss/nll_sum"] = to_bytes(std::vector<double>{12});
  fields.values["loss/target_count"] = to_bytes(std::vector<int64_t>{4});
  fields.values["loss/window_mean_sum"] = to_bytes(std::vector<double>{4});
  fields.values["loss/window_count"] = to_bytes(std::vector<int64_t>{2});
  const Derived derived = derive(job, fields, kNoWeight);
  const std::vector<std::tuple<std::string, std::string, double>> expected = {
      {"loss/token_nll", "perplexity", std::exp(3.0)},
      {"loss/token_nll", "windows_perplexity", std::exp(2.0)}};
  EXPECT_EQ(derived.attributes, expected);
  job.output.per_token = PerToken::kNone;
  EXPECT_EQ(std::get<0>(derive(job, fields, kNoWeight).attributes[0]), "loss/nll_sum");
}

TEST(Derive, PerplexitiesOfVariantsAreDatasets) {
  MergedFields fields = Fields().merged();
  fields.values["variants/nll_sum"] = to_bytes(std::vector<double>{12, 0});
  fields.values["variants/target_count"] = to_bytes(std::vector<int64_t>{4, 0});
  fields.values["variants/window_mean_sum"] = to_bytes(std::vector<double>{4, 9});
  fields.values["variants/window_count"] = to_bytes(std::vector<int64_t>{2, 3});
  const Derived derived = derive(Job{}, fields, kNoWeight);
  const auto perplexity = column<double>(derived, "variants/perplexity");
  EXPECT_EQ(perplexity.at(0), std::exp(3.0));
  EXPECT_TRUE(std::isnan(perplexity.at(1)));
  EXPECT_EQ(column<double>(derived, "variants/windows_perplexity"),
            (std::vector<double>{std::exp(2.0), std::exp(3.0)}));
}

TEST(Derive, RefusesFieldsThatAreMissingOrOfAnotherLength) {
  MergedFields fields = Fields().merged();
  fields.values["residual/channel_max_magnitude"].pop_back();
  try {
    derive(Job{}, fields, kNoWeight);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kOutput);
    EXPECT_NE(std::string(error.what()).find("residual/channel_max_magnitude"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("23 bytes"), std::string::npos);
  }
  fields.values.erase("residual/channel_max_magnitude");
  EXPECT_THROW(derive(Job{}, fields, kNoWeight), Error);
}

TEST(Derive, SuperWeightsJoinTheLargestInputAndOutput) {
  MergedFields fields;
  fields.layers = 3;
  fields.channels = 2;
  fields.values["mlp_hidden/count"] = to_bytes<int64_t>({0, 4, 4});
  fields.values["mlp_hidden/channel_max_magnitude"] =
      to_bytes<float>({0, 0, 0, 1, 7, 7, 9, 2, 3});  // ties: the lower neuron
  fields.values["mlp_output/count"] = to_bytes<int64_t>({0, 4, 4});
  fields.values["mlp_output/channel_max_magnitude"] = to_bytes<float>({0, 0, 5, 80, 60, 6});
  Job job;
  job.statistics.sites = {Site::kMlpHidden, Site::kMlpOutput};
  const auto weight = [](int64_t layer, int64_t neuron, int64_t channel) {
    return static_cast<float>(100 * layer + 10 * neuron + channel);
  };
  const Derived derived = derive(job, fields, weight);
  EXPECT_EQ(column<int64_t>(derived, "super_weights/neuron"), (std::vector<int64_t>{-1, 1, 0}));
  EXPECT_EQ(column<int64_t>(derived, "super_weights/channel"), (std::vector<int64_t>{-1, 1, 0}));
  const auto weights = column<float>(derived, "super_weights/weight");
  EXPECT_TRUE(std::isnan(weights[0]));
  EXPECT_EQ(weights[1], 111);
  EXPECT_EQ(weights[2], 200);
  EXPECT_EQ(column<float>(derived, "super_weights/input")[1], 7);
  EXPECT_EQ(column<float>(derived, "super_weights/output")[2], 60);
}

}  // namespace
}  // namespace actsweep
