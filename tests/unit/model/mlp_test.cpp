// Routed and shared experts against sums written as loops over scalars.
#include "model/mlp.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/ops.h"
#include "model/experts.h"

namespace actsweep {
namespace {

constexpr int64_t kRows = 9, kExperts = 5, kChannels = 8, kWidth = 6;

Architecture with_experts(int64_t chosen, bool renormalises) {
  Architecture a;
  a.layers = 1;
  a.channels = kChannels;
  a.heads = a.kv_heads = 1;
  a.head_width = kChannels;
  a.experts = {kExperts, chosen, kWidth, renormalises};
  a.experts.layers = {true};
  return a;
}

/// The weights of all experts, and the slice of them that a rank holds.
struct ExpertModel {
  Architecture a;
  at::Tensor router, router_bias;    // [E, C], [E]
  at::Tensor gate_up, gate_up_bias;  // [E, 2 F, C], [E, 2 F]
  at::Tensor down, down_bias;        // [E, C, F], [E, C]
  at::Tensor rows;                   // [n, C]

  explicit ExpertModel(const Architecture& architecture) : a(architecture) {
    at::manual_seed(11);
    router = at::randn({kExperts, kChannels});
    router_bias = at::randn({kExperts});
    gate_up = at::randn({kExperts, 2 * kWidth, kChannels});
    gate_up_bias = at::randn({kExperts, 2 * kWidth});
    down = at::randn({kExperts, kChannels, kWidth});
    down_bias = at::randn({kExperts, kChannels});
    rows = at::randn({kRows, kChannels});
  }

  StageWeights weights_of(const ModelShare& share) const {
    TensorRows list(a);
    list.router("{}.router", true).alternating_experts("{}.gate_up", "{}.down");
    const StageLayout layout(list.list(), a, share, Dtype::kFloat32, {0, share.experts});
    const auto buffer = at::zeros({layout.bytes()}, at::kByte);
    StageWeights weights(layout, buffer);
    weights[Weight::kRouter].copy_(router);
    weights[Weight::kRouterBias].copy_(router_bias);
    const auto fill = [&](Weight weight, const at::Tensor& all) {
      const auto mine = all.slice(0, share.experts.begin, share.experts.end);
      weights[weight].copy_(mine.reshape(weights[weight].sizes()));
    };
    if (share.experts.size() == 0) return weights;
    fill(Weight::kExpertGateUp, gate_up);
    fill(Weight::kExpertGateUpBias, gate_up_bias);
    fill(Weight::kExpertDown, down);
    fill(Weight::kExpertDownBias, down_bias);
    return weights;
  }

  /// The router's probabilities for a row, by expert.
  std::vector<double> probabilities(int64_t row) const {
    std::vector<double> p(kExperts);
    for (int64_t e = 0; e < kExperts; ++e) {
      double logit = router_bias[e].item<float>();
      for (int64_t c = 0; c < kChannels; ++c) {
        logit += router[e][c].item<float>() * rows[row][c].item<float>();
      }
      p[e] = std::exp(logit);
    }
    const double sum = std::accumulate(p.begin(), p.end(), 0.0);
    for (auto& value : p) value /= sum;
    return p;
  }

  /// The weight of each expert for a row: 0 where it is not among the most probable.
  std::vector<double> shares_of_row(int64_t row) const {
    auto p = probabilities(row);
    auto sorted = p;
    std::sort(sorted.rbegin(), sorted.rend());
    const double least = sorted[a.experts.chosen - 1];
    for (auto& value : p) value = value >= least ? value : 0;
    const double sum = std::accumulate(p.begin(), p.end(), 0.0);
    for (auto& value : p) value = a.experts.renormalises ? value / sum : value;
    return p;
  }

  double neuron(int64_t row, int64_t expert, int64_t f) const {
    const auto sum = [&](int64_t at) {
      double value = gate_up_bias[expert][at].item<float>();
      for (int64_t c = 0; c < kChannels; ++c) {
        value += gate_up[expert][at][c].item<float>() * rows[row][c].item<float>();
      }
      return value;
    };
    double g = sum(f), u = sum(kWidth + f);
    if (a.experts.clamp == 0) return g / (1 + std::exp(-g)) * u;
    g = std::min(g, a.experts.clamp);
    u = std::clamp(u, -a.experts.clamp, a.experts.clamp);
    return g / (1 + std::exp(-a.experts.gate_alpha * g)) * (u + 1);
  }

  /// [n, C]: all experts, weighted.
  at::Tensor dense_sum() const {
    const auto out = at::zeros({kRows, kChannels}, at::kDouble);
    for (int64_t row = 0; row < kRows; ++row) {
      const auto shares = shares_of_row(row);
      for (int64_t e = 0; e < kExperts; ++e) {
        std::vector<double> hidden(kWidth);
        for (int64_t f = 0; f < kWidth; ++f) hidden[f] = neuron(row, e, f);
        for (int64_t c = 0; c < kChannels; ++c) {
          double value = down_bias[e][c].item<float>();
          for (int64_t f = 0; f < kWidth; ++f) value += down[e][c][f].item<float>() * hidden[f];
          out[row][c] += shares[e] * value;
        }
      }
    }
    return out;
  }
};

ModelShare whole(const Architecture& a) { return share_of(a, 1, 0); }

TEST(Routing, ChosenExpertsAreTheMostProbableAndWeightsTheirProbabilities) {
  const ExpertModel model(with_experts(2, false));
  const auto routing = route(model.a, model.weights_of(whole(model.a)), model.rows);
  ASSERT_EQ(routing.expert.sizes(), at::IntArrayRef({kRows, 2}));
  for (int64_t row = 0; row < kRows; ++row) {
    const auto p = model.probabilities(row);
    double least_chosen = 1;
    std::vector<bool> is_chosen(kExperts);
    for (int64_t k = 0; k < 2; ++k) {
      const auto expert = routing.expert[row][k].item<int64_t>();
      EXPECT_FALSE(is_chosen[expert]) << "an expert was chosen twice";
      is_chosen[expert] = true;
      EXPECT_NEAR(routing.weight[row][k].item<float>(), p[expert], 1e-5);
      least_chosen = std::min(least_chosen, p[expert]);
    }
    for (int64_t e = 0; e < kExperts; ++e) EXPECT_TRUE(is_chosen[e] || p[e] < least_chosen);
  }
}

TEST(Routing, WeightsSumToOneWhereTheyAreRenormalisedAndOnlyThere) {
  for (const bool renormalises : {false, true}) {
    const ExpertModel model(with_experts(3, renormalises));
    const auto routing = route(model.a, model.weights_of(whole(model.a)), model.rows);
    const auto sums = routing.weight.sum(1);
    for (int64_t row = 0; row < kRows; ++row) {
      const auto sum = sums[row].item<float>();
      EXPECT_EQ(std::abs(sum - 1) < 1e-6, renormalises) << sum;
    }
  }
}

/// As if the router had no weights of the experts that a row may not choose.
TEST(Routing, BarredExpertsAreNotChosenAndTheOthersAreWeightedAmongThemselves) {
  const ExpertModel model(with_experts(2, false));
  auto is_barred = at::zeros({kRows, kExperts}, at::kBool);
  for (int64_t row = 0; row < kRows; ++row) is_barred[row][row % kExperts] = true;
  is_barred.select(1, 0).fill_(true);
  const auto routing = route(model.a, model.weights_of(whole(model.a)), model.rows, is_barred);
  for (int64_t row = 0; row < kRows; ++row) {
    const auto p = model.probabilities(row);
    const auto is_left = [&](int64_t e) { return e != 0 && e != row % kExperts; };
    double left = 0, least_chosen = 1;
    for (int64_t e = 0; e < kExperts; ++e) left += is_left(e) ? p[e] : 0;
    std::vector<bool> is_chosen(kExperts);
    for (int64_t k = 0; k < 2; ++k) {
      const auto expert = routing.expert[row][k].item<int64_t>();
      EXPECT_TRUE(is_left(expert));
      is_chosen[expert] = true;
      EXPECT_NEAR(routing.weight[row][k].item<float>(), p[expert] / left, 1e-5);
      least_chosen = std::min(least_chosen, p[expert]);
    }
    for (int64_t e = 0; e < kExperts; ++e) {
      EXPECT_TRUE(!is_left(e) || is_chosen[e] || p[e] < least_chosen);
    }
  }
}

/// Rows that the router has sent on, and a sum of 0.
ExpertRows routed(const ExpertModel& model, const StageWeights& weights) {
  const auto routing = route(model.a, weights, model.rows);
  return {model.rows, at::zeros({kRows, kChannels}), routing, order_by_expert(routing, kExperts)};
}

void expect_ranks_add_up(const Architecture& a) {
  const ExpertModel model(a);
  const auto expected = model.dense_sum();
  for (int64_t parts = 1; parts <= 4; ++parts) {
    auto sum = at::zeros({kRows, kChannels});
    for (int64_t part = 0; part < parts; ++part) {
      const auto share = share_of(a, parts, part);
      const auto weights = model.weights_of(share);
      auto rows = routed(model, weights);
      add_expert_outputs(a, share.experts, weights, {}, rows);
      sum += rows.sum;
    }
    EXPECT_TRUE(at::allclose(sum.to(at::kDouble), expected, 1e-5, 1e-5))
        << parts << " parts: " << (sum - expected).abs().max().item<double>();
  }
}

TEST(Experts, OutputsOfAllRanksAddUpToTheDenseSum) {
  expect_ranks_add_up(with_experts(2, true));
  expect_ranks_add_up(with_experts(3, false));
  expect_ranks_add_up(with_experts(1, false));
}

TEST(Experts, OutputsWithAClampedGateAddUpToTheDenseSum) {
  auto a = with_experts(2, true);
  a.experts.clamp = 0.7;
  a.experts.gate_alpha = 1.2;
  expect_ranks_add_up(a);
}

TEST(Experts, ARankWithoutExpertsAddsNothing) {
  const ExpertModel model(with_experts(2, true));
  const auto share = share_of(model.a, 7, 0);
  ASSERT_EQ(share.experts.size(), 0);
  const auto weights = model.weights_of(share);
  auto rows = routed(model, weights);
  add_expert_outputs(model.a, share.experts, weights, {}, rows);
  EXPECT_TRUE(at::equal(rows.sum, at::zeros({kRows, kChannels})));
}

/// Many experts, some of them without rows, whose widths fill no cache line.
struct ManyExperts {
  static constexpr int64_t kMany = 64, kManyRows = 61, kOdd = 20, kOddWidth = 11, kChosen = 4;
  Architecture a = with_experts(kChosen, true);
  at::Tensor buffer;
  StageWeights weights;
  ExpertRows rows;

  explicit ManyExperts(double clamp = 0) {
    a.channels = a.head_width = kOdd;
    a.experts.count = kMany;
    a.experts.ffn_width = kOddWidth;
    a.experts.clamp = clamp;
    TensorRows list(a);
    list.router("{}.router", true).alternating_experts("{}.gate_up", "{}.down");
    const auto share = whole(a);
    const StageLayout layout(list.list(), a, share, Dtype::kFloat32, {0, share.experts});
    buffer = at::zeros({layout.bytes()}, at::kByte);
    weights = StageWeights(layout, buffer);
    at::manual_seed(13);
    for (const auto weight : {Weight::kExpertGateUp, Weight::kExpertGateUpBias, Weight::kExpertDown,
                              Weight::kExpertDownBias}) {
      weights[weight].normal_();
    }
    // Rows choose among the first two thirds, and most of them the third expert.
    auto choice = at::rand({kManyRows, kMany});
    choice.narrow(1, 42, kMany - 42).zero_();
    choice.select(1, 2).narrow(0, 0, 50).fill_(2);
    const Routing routing = {std::get<1>(choice.topk(kChosen, 1)), at::rand({kManyRows, kChosen})};
    rows = {at::randn({kManyRows, kOdd}), at::randn({kManyRows, kOdd}), routing,
            order_by_expert(routing, kMany)};
  }

  at::Tensor part(Weight weight, int64_t expert, int64_t rows_of_expert) const {
    return weights[weight].narrow(0, expert * rows_of_expert, rows_of_expert);
  }

  at::Tensor hidden_of(int64_t expert, const at::Tensor& input) const {
    const auto gate_up = at::addmm(part(Weight::kExpertGateUpBias, expert, 2 * kOddWidth), input,
                                   part(Weight::kExpertGateUp, expert, 2 * kOddWidth).t());
    auto hidden = at::empty({input.size(0), kOddWidth});
    kCpuRowOps.gate(gate_up, a.activation, hidden);
    return hidden;
  }

  /// One expert after the other, each with its rows alone.
  at::Tensor one_by_one() const {
    auto sum = rows.sum.clone();
    for (int64_t expert = 0; expert < kMany; ++expert) {
      const auto chosen = at::nonzero(rows.routing.expert.eq(expert));
      if (chosen.size(0) == 0) continue;
      const auto row = chosen.select(1, 0);
      const auto weight = rows.routing.weight.index({row, chosen.select(1, 1)}).unsqueeze(1);
      const auto hidden = hidden_of(expert, rows.input.index_select(0, row));
      const auto output = at::addmm(part(Weight::kExpertDownBias, expert, kOdd), hidden,
                                    part(Weight::kExpertDown, expert, kOdd).t());
      sum.index_add_(0, row, output * weight);
    }
    return sum;
  }
};

/// Counts the rows of each expert that it sees, and looks at their inputs.
class ExpertObserver : public LayerObserver {
 public:
  explicit ExpertObserver(const ExpertRows& rows) : rows_(rows) {}
  bool wants(Site) const override { return false; }
  bool changes(Site, int64_t) const override { return false; }
  void change(Site, int64_t, const at::Tensor&) override {}
  bool shifts_scores(int64_t) const override { return false; }
  void shift_scores(int64_t, const at::Tensor&) override {}
  bool bars_experts(int64_t) const override { return false; }
  void bar_experts(int64_t, const at::Tensor&) override {}
  bool silences_experts(int64_t) const override { return false; }
  void silence_experts(int64_t, const at::Tensor&, const at::Tensor&) override {}
  bool wants_attention() const override { return false; }
  void see(Site, int64_t, const at::Tensor&) override {}
  void see_attention(const AttentionView&) override {}
  bool wants_between() const override { return false; }
  void see_between(const at::Tensor&) override {}
  bool wants_experts() const override { return true; }
  void see_experts(const ExpertsView& view) override {
    for (int64_t i = 0; i < view.experts(); ++i) {
      const int64_t first = view.first[i], count = view.first[i + 1] - first;
      const auto row = view.row.narrow(0, first, count);
      EXPECT_TRUE(
          at::equal(view.input.narrow(0, view.begin[i], count), rows_.input.index_select(0, row)));
      const auto expert = view.first_expert + i;
      EXPECT_TRUE(at::equal(row, at::nonzero(rows_.routing.expert.eq(expert)).select(1, 0)));
      seen.push_back(expert);
    }
  }
  std::vector<int64_t> seen;

 private:
  const ExpertRows& rows_;
};

TEST(Experts, OutputsHaveTheBitsOfOneExpertAfterTheOther) {
  ManyExperts model;
  ASSERT_EQ(model.rows.order.first[42], model.rows.order.first[64]);
  const auto expected = model.one_by_one();
  add_expert_outputs(model.a, whole(model.a).experts, model.weights, {}, model.rows);
  EXPECT_TRUE(at::equal(model.rows.sum, expected));
}

TEST(Experts, AreSeenInTheOrderOfTheirNumbersWithTheirRows) {
  ManyExperts model(/*clamp=*/0.7);
  ExpertObserver observer(model.rows);
  add_expert_outputs(model.a, whole(model.a).experts, model.weights, {&observer, 0}, model.rows);
  EXPECT_TRUE(std::is_sorted(observer.seen.begin(), observer.seen.end()));
  std::vector<int64_t> with_rows;
  for (int64_t expert = 0; expert < ManyExperts::kMany; ++expert) {
    const auto* first = model.rows.order.first.data() + expert;
    if (first[1] > first[0]) with_rows.push_back(expert);
  }
  EXPECT_TRUE(std::includes(observer.seen.begin(), observer.seen.end(), with_rows.begin(),
                            with_rows.end()));
}

TEST(SharedExpert, HiddenNeuronsAreMultipliedByTheSigmoidOfTheirOwnGate) {
  auto a = with_experts(2, true);
  a.experts.shared_width = 7;
  TensorRows list(a);
  list.shared_expert("{}.shared.", "{}.gate");
  const StageLayout layout(list.list(), a, whole(a), Dtype::kFloat32, {});
  const auto buffer = at::zeros({layout.bytes()}, at::kByte);
  const StageWeights weights(layout, buffer);
  at::manual_seed(5);
  for (const auto weight : {Weight::kGateUp, Weight::kSharedGate}) weights[weight].normal_();
  const auto rows = at::randn({kRows, kChannels});
  auto wide = at::empty({kRows, 14}), hidden = at::empty({kRows, 7});
  mlp_hidden(a, weights, {}, rows, wide, hidden);
  const auto products = at::mm(rows, weights[Weight::kGateUp].t());
  const auto gates = products.slice(1, 0, 7), ups = products.slice(1, 7, 14);
  const auto own = at::sigmoid((rows * weights[Weight::kSharedGate]).sum(1, /*keepdim=*/true));
  EXPECT_TRUE(at::allclose(hidden, at::silu(gates) * ups * own, 1e-4, 1e-5));
}

}  // namespace
}  // namespace actsweep
