// The stages of a rank: what they hold, in which order, how large they are.
#include "weights/stage_list.h"

#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "checkpoint/family.h"

namespace actsweep {
namespace {

using nlohmann::json;

/// Four heads of 4 over two, a dense layer between two with five experts and a shared one.
struct Model {
  Architecture a;
  std::vector<TensorRow> rows;

  explicit Model(int64_t expert_width) {
    const Config config(json{{"model_type", "qwen2_moe"},
                             {"hidden_size", 16},
                             {"num_hidden_layers", 3},
                             {"num_attention_heads", 4},
                             {"num_key_value_heads", 2},
                             {"intermediate_size", 7},
                             {"vocab_size", 11},
                             {"num_experts", 5},
                             {"num_experts_per_tok", 2},
                             {"moe_intermediate_size", expert_width},
                             {"shared_expert_intermediate_size", 6},
                             {"mlp_only_layers", {1}},
                             {"rms_norm_eps", 1e-6},
                             {"hidden_act", "silu"}},
                        "config.json");
    a = read_architecture(family_of(config), config);
    rows = family_of(config).rows(a);
  }

  ModelShare share(int64_t parts, int64_t part) const { return share_of(a, parts, part); }
  std::vector<Stage> stages(const ModelShare& share) const {
    return list_stages(rows, a, share, Dtype::kFloat32, true);
  }
  StageLayout layout(const ModelShare& share, const Stage& stage) const {
    return {rows, a, share, Dtype::kFloat32, stage};
  }
};

/// Widths of experts with more weights than the layer has beside them, and with far fewer.
constexpr int64_t kWide = 64, kNarrow = 4;

/// Layer, weight, part, unit that the row belongs to.
using RowKey = std::tuple<int64_t, Weight, int, int64_t>;

/// How often a rank's stages hold each row.
std::map<RowKey, int> held_rows(const Model& model, const ModelShare& share) {
  std::map<RowKey, int> held;
  for (const auto& stage : model.stages(share)) {
    const auto layout = model.layout(share, stage);
    for (const auto& part : layout.parts()) {
      ++held[{stage.layer, part.row.weight, part.row.part, part.row.only_unit}];
    }
  }
  return held;
}

/// Once each row of the layers and the head; of experts, the rank's own.
std::map<RowKey, int> rows_to_hold(const Model& model, const ModelShare& share) {
  std::map<RowKey, int> wanted;
  for (const auto& row : model.rows) {
    const bool is_elsewhere = row.cut == Cut::kExperts && (row.only_unit < share.experts.begin ||
                                                           row.only_unit >= share.experts.end);
    for (int64_t layer = 0; layer < model.a.layers; ++layer) {
      if (!row.is_per_layer() || !row.is_in(model.a, layer) || is_elsewhere) continue;
      wanted[{layer, row.weight, row.part, row.only_unit}] = 1;
    }
    if (is_of_head(row.weight)) wanted[{model.a.layers, row.weight, row.part, row.only_unit}] = 1;
  }
  return wanted;
}

TEST(StageList, HoldsEachWeightOfEachRankOnce) {
  for (const int64_t width : {kWide, kNarrow}) {
    const Model model(width);
    for (const int64_t parts : {1, 2, 3, 4, 7}) {
      std::map<int64_t, int> ranks_of_expert;
      for (int64_t part = 0; part < parts; ++part) {
        SCOPED_TRACE(fmt::format("experts of {}, rank {} of {}", width, part, parts));
        const auto share = model.share(parts, part);
        EXPECT_EQ(held_rows(model, share), rows_to_hold(model, share));
        for (const auto& stage : model.stages(share)) {
          if (stage.layer != 0) continue;
          for (int64_t e = stage.experts.begin; e < stage.experts.end; ++e) ++ranks_of_expert[e];
        }
      }
      const std::map<int64_t, int> once = {{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}};
      EXPECT_EQ(ranks_of_expert, once) << parts << " ranks";
    }
  }
}

TEST(StageList, BeginsAndEndsEachLayerOnceInTheirOrder) {
  const Model model(kWide);
  for (const int64_t parts : {1, 2, 7}) {
    for (int64_t part = 0; part < parts; ++part) {
      int64_t layer = 0;
      bool is_begun = false;
      for (const auto& stage : model.stages(model.share(parts, part))) {
        EXPECT_EQ(stage.layer, layer);
        EXPECT_EQ(stage.is_first, !is_begun);
        is_begun = !stage.is_last;
        layer += stage.is_last ? 1 : 0;
      }
      EXPECT_EQ(layer, 4) << "three layers and the head";
    }
  }
}

/// Experts and bytes of the stages of the last layer, of the last rank of a group.
std::vector<std::pair<int64_t, int64_t>> sizes_of_stages(int64_t expert_width, int64_t parts) {
  const Model model(expert_width);
  const auto share = model.share(parts, parts - 1);
  std::vector<std::pair<int64_t, int64_t>> sizes;
  for (const auto& stage : model.stages(share)) {
    if (stage.layer != 2) continue;
    sizes.emplace_back(stage.experts.size(), model.layout(share, stage).bytes());
  }
  return sizes;
}

TEST(StageList, TakesExpertsOneByOneWhereTheyAreLargerThanTheRestOfTheirLayer) {
  const auto sizes = sizes_of_stages(kWide, 1);
  ASSERT_EQ(sizes.size(), 6u);
  EXPECT_EQ(sizes[0].first, 0);
  for (size_t i = 1; i < 6; ++i) EXPECT_EQ(sizes[i], std::pair(int64_t{1}, 4 * 3 * 16 * kWide));
  EXPECT_EQ(sizes_of_stages(kWide, 4).size(), 3u) << "the last of four ranks has two of five";
}

TEST(StageList, TakesExpertsTogetherUpToTheBytesOfTheRestOfTheirLayer) {
  const auto together = sizes_of_stages(kNarrow, 1);
  ASSERT_EQ(together.size(), 2u);
  EXPECT_EQ(together[1], std::pair(int64_t{5}, 5 * 4 * 3 * 16 * kNarrow));
  EXPECT_LE(together[1].second, together[0].second);
  const auto in_runs = sizes_of_stages(2 * kNarrow, 1);
  ASSERT_EQ(in_runs.size(), 3u);
  EXPECT_EQ(in_runs[1].first, 2) << "near-equal runs";
  EXPECT_LE(in_runs[2].second, in_runs[0].second);
}

}  // namespace
}  // namespace actsweep
