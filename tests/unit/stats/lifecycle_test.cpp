#include "stats/lifecycle.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "device.h"
#include "reference.h"

namespace actsweep::testing {
namespace {

/// Rows [3] of one micro-batch at one layer: behind it, and between mixer and MLP.
struct Layer {
  at::Tensor between, behind;
};

/// The named channels of the real tokens, by plain loops.
void expect_rows(const Values& found, const Batch& batch, const std::vector<int64_t>& channels,
                 const std::vector<Layer>& layers) {
  std::vector<double> value, of_mixer, of_mlp;
  for (size_t layer = 0; layer < layers.size(); ++layer) {
    for (size_t window = 0; window < batch.labels.windows.size(); ++window) {
      for (int64_t p = 0; p < batch.labels.windows[window].length(); ++p) {
        const int64_t row = static_cast<int64_t>(window) * batch.labels.padded_length + p;
        for (const int64_t channel : channels) {
          const auto at = [&](const at::Tensor& x) { return x[row][channel].item<float>(); };
          const auto& [between, behind] = layers[layer];
          value.push_back(at(behind));
          of_mixer.push_back(layer == 0 ? 0 : at(between) - at(layers[layer - 1].behind));
          of_mlp.push_back(layer == 0 ? 0 : at(behind) - at(between));
        }
      }
    }
  }
  EXPECT_EQ(found.at("lifecycle/value"), value);
  EXPECT_EQ(found.at("lifecycle/attention_update"), of_mixer);
  EXPECT_EQ(found.at("lifecycle/mlp_update"), of_mlp);
}

TEST(Lifecycle, IsTheNamedChannelsOfEveryTokenAndWhatEachBranchHasChanged) {
  const Batch batch = make_batch({5, 3, 0}, 9, 4);
  const std::vector<int64_t> channels = {7, 0};
  Lifecycle lifecycle(channels, test_device());
  at::manual_seed(3);
  for (int block = 0; block < 2; ++block) {  // the second knows nothing of the first
    lifecycle.begin_block(2);
    CollectingSink sink;
    std::vector<Layer> layers;
    for (int layer = 0; layer < 3; ++layer) {
      layers.push_back({at::randn_like(batch.rows), at::randn_like(batch.rows)});
      if (layer > 0) lifecycle.see_between(1, layers.back().between.to(test_device()));
      lifecycle.update(1, layers.back().behind.to(test_device()), batch.labels, sink);
    }
    expect_rows(sink.values, batch, channels, layers);
  }
}

TEST(Lifecycle, KeepsWhatTheLayerLeftWhereTheStreamIsChangedInPlace) {
  const Batch batch = make_batch({2}, 3, 4);
  Lifecycle lifecycle({1}, test_device());
  lifecycle.begin_block(1);
  CollectingSink sink;
  auto stream = at::full({2, 3}, 5.0f).to(test_device());
  lifecycle.update(0, stream, batch.labels, sink);
  stream.add_(2);
  lifecycle.see_between(0, stream);
  stream.add_(-10);
  lifecycle.update(0, stream, batch.labels, sink);
  EXPECT_EQ(sink.values.at("lifecycle/value"), (std::vector<double>{5, 5, -3, -3}));
  EXPECT_EQ(sink.values.at("lifecycle/attention_update"), (std::vector<double>{0, 0, 2, 2}));
  EXPECT_EQ(sink.values.at("lifecycle/mlp_update"), (std::vector<double>{0, 0, -10, -10}));
}

}  // namespace
}  // namespace actsweep::testing
