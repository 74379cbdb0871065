#include "stats/token_experts.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "device.h"
#include "reference.h"

namespace actsweep::testing {
namespace {

constexpr int64_t kChosen = 2;

TEST(TokenExperts, AreThoseOfTheRowsThatTheMemberOwns) {
  const Batch batch = make_batch({4, 3, 0}, 1, 1);
  const int64_t rows = batch.labels.row_count();
  const auto expert = at::arange(2 * rows * kChosen).view({2 * rows, kChosen});
  const auto weight = expert.to(at::kFloat) / 8;
  for (const int64_t member : {0, 1}) {
    CollectingSink sink;
    TokenExperts(PerToken::kAll, member, kChosen)
        .update({expert.to(test_device()), weight.to(test_device())}, batch.labels, sink);
    std::vector<double> experts, gates;
    for (const int64_t row : {0, 1, 2, 3, 4, 5, 6}) {  // the eighth is padding
      for (int64_t choice = 0; choice < kChosen; ++choice) {
        experts.push_back(static_cast<double>((member * rows + row) * kChosen + choice));
        gates.push_back(experts.back() / 8);
      }
    }
    EXPECT_EQ(sink.values.at("experts/token_experts"), experts);
    EXPECT_EQ(sink.values.at("experts/token_gates"), gates);
  }
}

TEST(TokenExperts, AreNoneInALayerWithoutExperts) {
  const Batch batch = make_batch({2}, 1, 1);
  CollectingSink sink;
  TokenExperts(PerToken::kMassive, 1, kChosen).update({}, batch.labels, sink);
  EXPECT_EQ(sink.values.at("experts/token_experts"), std::vector<double>(4, 4294967295.0));
  const auto gates = sink.values.at("experts/token_gates");
  ASSERT_EQ(gates.size(), 4u);
  for (const double gate : gates) EXPECT_TRUE(std::isnan(gate));
}

}  // namespace
}  // namespace actsweep::testing
