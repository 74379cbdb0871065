#include "probe/intervention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"

namespace actsweep {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kPadding = 1e30f;
constexpr int64_t kLayers = 4;

/// Windows of 4 and 2 tokens, then a padding sequence; 3 channels. Padding is huge.
struct Batch {
  OwnedRows labels;
  at::Tensor rows = at::tensor({
                                   1.f,      2.f,      3.f,       //
                                   4.f,      -50.f,    6.f,       //
                                   7.f,      50.f,     9.f,       //
                                   10.f,     11.f,     -60.f,     //
                                   -1.f,     -2.f,     -3.f,      //
                                   5.f,      8.f,      6.f,       //
                                   kPadding, kPadding, kPadding,  //
                                   kPadding, kPadding, kPadding,  //
                                   kPadding, kPadding, kPadding,  //
                                   kPadding, kPadding, kPadding,  //
                                   kPadding, kPadding, kPadding,  //
                                   kPadding, kPadding, kPadding,  //
                               })
                        .view({12, 3});

  Batch() {
    labels.padded_length = 4;
    labels.padded_sequences = 3;
    labels.windows = {{20, 0, 0, 4, false}, {21, 4, 4, 2, false}};
    labels.token_class = {0, 3, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0};
    labels.token_id.resize(12);
    labels.document.resize(12);
  }
};

Job::Intervention wanted(const std::string& tokens, std::vector<int64_t> channels = {1}) {
  Job::Intervention intervention;
  intervention.layer = 2;
  intervention.channels = std::move(channels);
  intervention.tokens = tokens;
  intervention.action = Action::kValue;
  intervention.value = 77;
  return intervention;
}

/// Rows and channels that hold the value behind it; checks the counts.
std::vector<std::pair<int64_t, int64_t>> changed_by(const Job::Intervention& intervention,
                                                    int64_t tokens, Batch batch = {}) {
  const auto before = batch.rows;
  batch.rows = before.clone();
  const auto counts =
      Intervention("it", intervention, kLayers, {}).apply(2, batch.labels, batch.rows);
  std::vector<std::pair<int64_t, int64_t>> changed;
  for (int64_t row = 0; row < 12; ++row) {
    for (int64_t c = 0; c < 3; ++c) {
      const float value = batch.rows[row][c].item<float>(), old = before[row][c].item<float>();
      if (value == 77) changed.emplace_back(row, c);
      EXPECT_TRUE(value == 77 || value == old || (value != value && old != old));
    }
  }
  EXPECT_EQ(counts.tokens, tokens);
  EXPECT_EQ(counts.activations, static_cast<int64_t>(changed.size()));
  return changed;
}

using Places = std::vector<std::pair<int64_t, int64_t>>;

TEST(Intervention, SelectsTokensOfEachSequenceAndNeverPadding) {
  EXPECT_EQ(changed_by(wanted("position:0"), 2), (Places{{0, 1}, {4, 1}}));
  EXPECT_EQ(changed_by(wanted("position:2"), 1), (Places{{2, 1}}));
  EXPECT_EQ(changed_by(wanted("class:delimiter:first"), 2), (Places{{2, 1}, {5, 1}}));
  EXPECT_EQ(changed_by(wanted("class:other:first"), 1), (Places{{1, 1}}));
  EXPECT_EQ(changed_by(wanted("class:weak_semantic:first"), 0), Places{});
  EXPECT_EQ(changed_by(wanted("registers"), 3), (Places{{2, 1}, {3, 1}, {5, 1}}));
  EXPECT_EQ(changed_by(wanted("all"), 6).size(), 6u);
}

TEST(Intervention, TheArgmaxIsTheEarliestLargestInTheListedChannelsOrInAll) {
  EXPECT_EQ(changed_by(wanted("argmax"), 2), (Places{{1, 1}, {5, 1}}));
  EXPECT_EQ(changed_by(wanted("argmax", {0}), 2), (Places{{3, 0}, {5, 0}}));
  auto of_all = wanted("argmax", {});
  of_all.channel_choice = ChannelChoice::kAll;
  EXPECT_EQ(changed_by(of_all, 2).front(), (std::pair<int64_t, int64_t>{3, 0}));
}

TEST(Intervention, ATokenThatIsNotFiniteIsNeitherTheArgmaxNorHasAMedian) {
  Batch batch;
  batch.rows[1][0] = kNan;
  batch.rows[4][2] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(changed_by(wanted("argmax"), 2, batch), (Places{{2, 1}, {5, 1}}));
  auto median = wanted("all", {});
  median.channel_choice = ChannelChoice::kMedian;
  median.count = 1;
  EXPECT_EQ(changed_by(median, 4, batch), (Places{{0, 1}, {2, 2}, {3, 1}, {5, 2}}));
  EXPECT_EQ(changed_by(wanted("position:0"), 2, batch), (Places{{0, 1}, {4, 1}}));
}

TEST(Intervention, AppliesAtItsLayerOrAtEveryBlocksInput) {
  auto intervention = wanted("all");
  EXPECT_TRUE(Intervention("it", intervention, kLayers, {}).applies_at(Site::kResidual, 2));
  EXPECT_FALSE(Intervention("it", intervention, kLayers, {}).applies_at(Site::kResidual, 1));
  intervention.layer = std::nullopt;
  EXPECT_TRUE(Intervention("it", intervention, kLayers, {}).applies_at(Site::kResidual, 0));
  EXPECT_TRUE(Intervention("it", intervention, kLayers, {}).applies_at(Site::kResidual, 3));
  EXPECT_FALSE(Intervention("it", intervention, kLayers, {}).applies_at(Site::kResidual, 4));
}

TEST(Intervention, InsideABlockAppliesAtItsSiteAloneThroughTheLastBlock) {
  auto intervention = wanted("all");
  intervention.site = Site::kGate;
  EXPECT_TRUE(Intervention("it", intervention, kLayers, {}).applies_at(Site::kGate, 2));
  EXPECT_FALSE(Intervention("it", intervention, kLayers, {}).applies_at(Site::kGate, 1));
  EXPECT_FALSE(Intervention("it", intervention, kLayers, {}).applies_at(Site::kResidual, 2));
  intervention.layer = std::nullopt;
  EXPECT_TRUE(Intervention("it", intervention, kLayers, {}).applies_at(Site::kGate, kLayers));
}

TEST(Intervention, TilesOfManyRowsChangeEveryRow) {
  constexpr int64_t kRows = 37, kWide = 1 << 20;  // 4 rows a tile
  Batch batch;
  batch.labels.padded_length = kRows;
  batch.labels.padded_sequences = 1;
  batch.labels.windows = {{0, 0, 0, kRows, false}};
  batch.labels.token_class.assign(kRows, 3);
  batch.rows = at::ones({kRows, kWide});
  batch.rows[30][5] = -2.0f;
  ASSERT_EQ(tile_rows(batch.rows), 4);
  auto largest = wanted("argmax");
  largest.channel_choice = ChannelChoice::kAll;
  const auto counts = Intervention("it", largest, kLayers, {}).apply(2, batch.labels, batch.rows);
  EXPECT_EQ(counts.activations, kWide);
  EXPECT_EQ(batch.rows.sum(1).eq(77.0f * kWide).nonzero().item<int64_t>(), 30);
  const auto all =
      Intervention("it", wanted("all"), kLayers, {}).apply(2, batch.labels, batch.rows);
  EXPECT_EQ(all.tokens, kRows);
  EXPECT_EQ(all.activations, kRows);
  EXPECT_TRUE(batch.rows.select(1, 1).eq(77).all().item<bool>());
}

TEST(Intervention, ScalesInFloat32) {
  Batch batch;
  auto intervention = wanted("position:1", {0, 2});
  intervention.action = Action::kScale;
  intervention.value = 0.1;
  Intervention("it", intervention, kLayers, {}).apply(2, batch.labels, batch.rows);
  EXPECT_EQ(batch.rows[1][0].item<float>(), 4.f * 0.1f);
  EXPECT_EQ(batch.rows[1][1].item<float>(), -50.f);
  EXPECT_EQ(batch.rows[5][2].item<float>(), 6.f * 0.1f);
}

TEST(Intervention, MeansAreOfTheTokensClassOrOfTheRegister) {
  const auto means = at::arange(5 * 4 * 3, at::kFloat).view({5, 4, 3});
  auto intervention = wanted("class:delimiter:first", {2});
  intervention.action = Action::kMean;
  intervention.value = std::nullopt;
  intervention.from = "means.h5";
  Batch batch;
  Intervention("it", intervention, kLayers, means).apply(2, batch.labels, batch.rows);
  EXPECT_EQ(batch.rows[2][2].item<float>(), means[2][1][2].item<float>());
  intervention.tokens = "registers";
  Intervention("it", intervention, kLayers, means).apply(2, batch.labels, batch.rows);
  EXPECT_EQ(batch.rows[2][2].item<float>(), means[2][0][2].item<float>());
  EXPECT_EQ(batch.rows[3][2].item<float>(), means[2][1][2].item<float>());
  EXPECT_EQ(batch.rows[5][2].item<float>(), means[2][0][2].item<float>());
}

TEST(Intervention, AMissingMeanIsRefusedWhereATokenNeedsIt) {
  auto means = at::zeros({5, 4, 3});
  means.select(1, 3).fill_(kNan);
  auto intervention = wanted("class:delimiter:first", {2});
  intervention.action = Action::kMean;
  intervention.from = "means.h5";
  Batch batch;
  EXPECT_NO_THROW(
      Intervention("it", intervention, kLayers, means).apply(2, batch.labels, batch.rows));
  intervention.tokens = "all";
  try {
    Intervention("it", intervention, kLayers, means).apply(2, batch.labels, batch.rows);
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kJob);
    EXPECT_NE(std::string(error.what()).find("it: from = \"means.h5\""), std::string::npos);
  }
}

}  // namespace
}  // namespace actsweep
