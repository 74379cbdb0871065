// A layer's stages, passed by several micro-batches together, against the layer at once.
#include "model/forward.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>

#include "model/expert_block.h"
#include "weights/stage_list.h"

namespace actsweep {
namespace {

constexpr int64_t kPositions = 4, kBatchRows = 3 * kPositions, kBatches = 2;

/// Seven experts of as many bytes as lie at 64-byte-aligned addresses one behind the other, so that
/// products have the same bits wherever an expert stands.
Architecture with_experts() {
  Architecture a;
  a.layers = 1;
  a.channels = 16;
  a.heads = 4;
  a.kv_heads = 2;
  a.head_width = 4;
  a.rope_of_layer = {-1};
  a.window = {0};
  a.experts = {7, 2, 16, true};
  a.experts.shared_width = 5;
  a.experts.layers = {true};
  return a;
}

std::vector<TensorRow> rows_of(const Architecture& a, bool has_post_norm, bool has_scale) {
  TensorRows rows(a);
  rows.norm("{}.before", Weight::kAttentionNorm)
      .query_key_value("{}.", "q", "k", "v")
      .attention_output("{}.o")
      .norm("{}.between", Weight::kMlpNorm)
      .router("{}.router", true)
      .alternating_experts("{}.experts.gate_up", "{}.experts.down")
      .shared_expert("{}.shared.", "{}.shared_gate");
  if (has_post_norm) rows.norm("{}.after", Weight::kMlpPostNorm);
  if (has_scale) rows.parameter("{}.scale", Weight::kMlpScale, {a.channels});
  return rows.list();
}

/// The weights of a stage out of those of the whole layer.
StageWeights part_of(const StageWeights& whole, const Stage& stage, const StageLayout& layout,
                     int64_t experts) {
  const StageWeights part(layout, at::empty({layout.bytes()}, at::kByte));
  for (int number = 0; number < kWeights; ++number) {
    const auto weight = static_cast<Weight>(number);
    if (!part.has(weight)) continue;
    const bool is_expert = Weight::kExpertGateUp <= weight && weight <= Weight::kExpertDownBias;
    const int64_t each = whole[weight].size(0) / experts;
    part[weight].copy_(
        is_expert ? whole[weight].narrow(0, stage.experts.begin * each, part[weight].size(0))
                  : whole[weight]);
  }
  return part;
}

class LayerInStages {
 public:
  explicit LayerInStages(const Architecture& a, bool has_post_norm = false, bool has_scale = false)
      : a_(a),
        share_(share_of(a, 1, 0)),
        rows_(rows_of(a, has_post_norm, has_scale)),
        whole_stage_{0, share_.experts},
        whole_(layout_of(whole_stage_), at::empty({layout_of(whole_stage_).bytes()}, at::kByte)),
        group_(MPI_COMM_SELF, nullptr),
        forward_(a, group_, {.owned_rows = kBatchRows, .positions = kPositions}),
        block_(a, kBatches * kBatchRows, 1, at::kFloat) {
    at::manual_seed(7);
    for (int weight = 0; weight < kWeights; ++weight) {
      if (whole_.has(static_cast<Weight>(weight))) whole_[static_cast<Weight>(weight)].normal_();
    }
  }

  std::vector<Stage> stages() const {
    return list_stages(rows_, a_, share_, Dtype::kFloat32, false);
  }

  /// The residual stream of a block behind the layer, whose stages its micro-batches pass together.
  at::Tensor in_stages(at::Tensor residual) {
    std::vector<ExpertRows> experts;
    for (int64_t batch = 0; batch < kBatches; ++batch) {
      experts.push_back(block_.rows(batch * kBatchRows, kBatchRows));
    }
    for (const auto& stage : stages()) {
      const auto weights = part_of(whole_, stage, layout_of(stage), a_.experts.count);
      for (int64_t batch = 0; batch < kBatches; ++batch) {
        pass(stage, weights, residual, batch, experts[batch]);
      }
    }
    return residual;
  }

  /// The same with all weights in one stage, one micro-batch after the other.
  at::Tensor at_once(at::Tensor residual) {
    for (int64_t batch = 0; batch < kBatches; ++batch) {
      auto experts = block_.rows(0, kBatchRows);
      pass(whole_stage_, whole_, residual, batch, experts);
    }
    return residual;
  }

 private:
  StageLayout layout_of(const Stage& stage) const {
    return {rows_, a_, share_, Dtype::kFloat32, stage};
  }

  void pass(const Stage& stage, const StageWeights& weights, at::Tensor& residual, int64_t batch,
            ExpertRows& experts) {
    auto rows = residual.narrow(0, batch * kBatchRows, kBatchRows);
    forward_.stage(stage, weights, {kPositions, {kPositions, 2, 1}}, rows, experts);
  }

  Architecture a_;
  ModelShare share_;
  std::vector<TensorRow> rows_;
  Stage whole_stage_;
  StageWeights whole_;
  Group group_;
  Forward forward_;
  ExpertBlock block_;
};

at::Tensor random_stream() {
  at::manual_seed(8);
  return at::randn({kBatches * kBatchRows, 16});
}

void expect_equal(LayerInStages layer) {
  ASSERT_GT(layer.stages().size(), 3u);
  const auto expected = layer.at_once(random_stream());
  EXPECT_FALSE(at::allclose(expected, random_stream())) << "the layer does nothing";
  EXPECT_TRUE(at::equal(layer.in_stages(random_stream()), expected));
}

TEST(LayerInStages, IsTheLayerAtOnce) { expect_equal(LayerInStages(with_experts())); }

TEST(LayerInStages, OfAParallelBlockIsTheLayerAtOnce) {
  auto a = with_experts();
  a.is_parallel = true;
  expect_equal(LayerInStages(a));
}

TEST(LayerInStages, WithANormOrAScaleOfTheMlpsOutputIsTheLayerAtOnce) {
  expect_equal(LayerInStages(with_experts(), true, false));
  expect_equal(LayerInStages(with_experts(), false, true));
}

TEST(LayerInStages, WithNormsAfterAdditionIsTheLayerAtOnce) {
  auto a = with_experts();
  a.norm.is_after_addition = true;
  a.norm.kind = NormKind::kLayer;
  a.norm.has_bias = true;
  expect_equal(LayerInStages(a));
}

}  // namespace
}  // namespace actsweep
