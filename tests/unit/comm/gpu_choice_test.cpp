#include "comm/gpu_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace actsweep {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// How a launcher may hand out the GPUs of a node, and what follows.
struct Case {
  const char* launch;
  SeenGpus seen;
  std::vector<int> chosen;
};

const Case kCases[] = {
    {"no GPUs", {{}, {}}, {}},
    {"--gpus-per-node=4, --gpu-bind=none",
     {{"a", "b", "c", "d"}, {"a", "b", "c", "d"}, {"a", "b", "c", "d"}, {"a", "b", "c", "d"}},
     {0, 1, 2, 3}},
    {"two ranks on a node of four", {{"a", "b", "c", "d"}, {"a", "b", "c", "d"}}, {0, 1}},
    {"--gpus-per-task=1", {{"a"}, {"b"}, {"c"}}, {0, 0, 0}},
    {"CUDA_VISIBLE_DEVICES in another order for each task",
     {{"a", "b"}, {"b", "a"}},
     {0, 0}},  // the second takes its number 0, since its number 1 is the first's
    {"--gpus-per-task=2", {{"a", "b"}, {"c", "d"}}, {0, 1}},
    {"parts of a GPU (MIG)", {{"MIG-1/2/0"}, {"MIG-1/3/0"}}, {0, 0}},
    {"one rank may take what the other leaves", {{"a"}, {"a", "b"}}, {0, 1}},
    {"a rank gives its GPU to one that has no other", {{"a", "b"}, {"c", "b"}, {"a"}}, {1, 0, 0}},
    {"--gpu-bind=map_gpu:0,0,1,1 with two each",
     {{"a", "b"}, {"a", "b"}, {"c", "d"}, {"c", "d"}},
     {0, 1, 0, 1}},
};

TEST(GpuChoice, EachRankHasItsOwnHoweverTheyAreHandedOut) {
  for (const auto& [launch, seen, chosen] : kCases) {
    EXPECT_EQ(choose_gpus(seen, "n1"), chosen) << launch;
  }
}

std::string refusal(const SeenGpus& seen) {
  try {
    choose_gpus(seen, "n1");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kDevice);
    return error.what();
  }
  ADD_FAILURE() << "no Error";
  return {};
}

TEST(GpuChoice, TooFewAreRefusedWithWhatWasSeenByWhom) {
  EXPECT_THAT(refusal({{"a", "b"}, {"a", "b"}, {"a", "b"}}),
              AllOf(HasSubstr("node n1: expected a GPU for each of its 3 ranks"),
                    HasSubstr("rank 2 of the node sees a, b")));
  EXPECT_THAT(refusal({{"a"}, {"a"}}), HasSubstr("rank 1 of the node sees a"));
  EXPECT_THAT(refusal({{"a", "b"}, {"b"}, {"a"}}), HasSubstr("rank 0 of the node sees a, b"));
}

TEST(GpuChoice, RankThatSeesNoneBesideOthersIsRefused) {
  EXPECT_THAT(refusal({{"a"}, {}}), HasSubstr("rank 1 of the node sees none"));
}

}  // namespace
}  // namespace actsweep
