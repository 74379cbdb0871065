#include "comm/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace actsweep {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Ranks on these nodes, alike in all else.
std::vector<RankFacts> ranks_on(const std::vector<std::string>& nodes) {
  std::vector<RankFacts> ranks;
  for (const auto& node : nodes) ranks.push_back({node, "CPU, AVX2", "AVX2", "1 (abc)", "2.9"});
  return ranks;
}

std::string refusal(const std::vector<RankFacts>& ranks, int64_t members, bool across = false) {
  try {
    place_ranks(ranks, members, across);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kDevice);
    return error.what();
  }
  ADD_FAILURE() << "no Error";
  return {};
}

TEST(Placement, RanksThatComeNodeByNodeKeepTheirOrder) {
  const auto placement = place_ranks(ranks_on({"a", "a", "b", "b"}), 2, false);
  EXPECT_THAT(placement.places, ElementsAre(0, 1, 2, 3));
  EXPECT_FALSE(placement.is_mixed);
  EXPECT_THAT(placement.warnings, IsEmpty());
}

TEST(Placement, RanksDealtToNodesInTurnFormGroupsWithinNodes) {
  // As srun --distribution=cyclic, or mpirun --map-by node.
  const auto placement = place_ranks(ranks_on({"b", "a", "b", "a"}), 2, false);
  EXPECT_THAT(placement.places, ElementsAre(0, 2, 1, 3));  // rank 0's node is the first
}

TEST(Placement, GroupOverTwoNodesIsRefusedUnlessItIsAllowed) {
  const auto ranks = ranks_on({"a", "a", "a", "b", "b", "b"});
  EXPECT_THAT(refusal(ranks, 2), AllOf(HasSubstr("model group 1: expected its 2 ranks"),
                                       HasSubstr("a on node a (rank 2) and b on node b (rank 3)"),
                                       HasSubstr("across_nodes = true")));
  EXPECT_THAT(place_ranks(ranks, 2, true).places, ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(Placement, GroupOfUnlikeRanksIsRefusedWithNodesAndRanks) {
  for (const auto& [value, name] : std::vector<std::pair<std::string RankFacts::*, std::string>>{
           {&RankFacts::device, "device"},
           {&RankFacts::instructions, "instruction set"},
           {&RankFacts::program, "version of actsweep"},
           {&RankFacts::torch, "version of LibTorch"}}) {
    auto ranks = ranks_on({"a", "a", "b", "b"});
    const auto usual = ranks[3].*value;
    ranks[3].*value = "another";
    EXPECT_THAT(refusal(ranks, 2),
                AllOf(HasSubstr("model group 1: expected one " + name),
                      HasSubstr(usual + " on node b (rank 2) and another on node b (rank 3)")));
    EXPECT_THAT(refusal(ranks, 4, true), HasSubstr(usual + " on node a (ranks 0, 1)"));
  }
}

TEST(Placement, NodeWithoutAGpuAmongOthersIsNamed) {
  auto ranks = ranks_on({"a", "b"});
  ranks[0].device = "CUDA, NVIDIA H100";
  EXPECT_THAT(refusal(ranks, 2, true),
              HasSubstr("CUDA, NVIDIA H100 on node a (rank 0) and CPU, AVX2 on node b (rank 1)"));
}

TEST(Placement, GroupsThatDifferAreWarnedOf) {
  auto ranks = ranks_on({"a", "a", "b", "b"});
  for (const int rank : {2, 3}) ranks[rank].device = "CPU, AVX512";
  const auto placement = place_ranks(ranks, 2, false);
  EXPECT_TRUE(placement.is_mixed);
  EXPECT_THAT(placement.warnings, ElementsAre(AllOf(HasSubstr("model groups differ in device"),
                                                    HasSubstr("CPU, AVX512 on node b (rank 2)"))));
}

TEST(Placement, WorldThatIsNoMultipleOfTheGroupIsLeftToThePlan) {
  EXPECT_THAT(place_ranks(ranks_on({"a", "a", "a"}), 2, false).places, ElementsAre(0, 1, 2));
}

}  // namespace
}  // namespace actsweep
