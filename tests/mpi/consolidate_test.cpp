// Consolidation by 1, 2, 3 and 4 ranks: what all ranks write together is what the parts hold, and
// an error on one rank is an error on all.
#include "output/consolidate.h"

#include <gtest/gtest.h>
#include <mpi.h>

#include <array>
#include <filesystem>

#include "base/error.h"
#include "output/process.h"
#include "sweep_check.h"

namespace actsweep {
namespace {

int rank_of_this() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

/// Segments of a sweep in a folder that all ranks know; rank 0 writes and removes it.
class Consolidating : public testing::Test {
 protected:
  Assembly prepare(SampleSweep sweep) {
    std::array<char, 256> folder{};
    if (rank_of_this() == 0) {
      const std::string pattern = testing::TempDir() + "actsweep-XXXXXX";
      std::copy(pattern.begin(), pattern.end(), folder.begin());
      if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no temporary folder");
    }
    MPI_Bcast(folder.data(), static_cast<int>(folder.size()), MPI_CHAR, 0, MPI_COMM_WORLD);
    folder_ = folder.data();
    sweep.folder = folder_ + "/segments";
    if (rank_of_this() == 0) write_sample_segments(sweep);
    MPI_Barrier(MPI_COMM_WORLD);
    std::vector<std::string> parts;
    for (const auto& segment : find_segments(sweep.folder)) parts.push_back(segment.path);
    return sample_assembly(sweep, parts, folder_ + "/sample.h5");
  }

  void expect_target(const SampleSweep& sweep) {
    assemble(prepare(sweep), MPI_COMM_WORLD);
    if (rank_of_this() != 0) return;
    EXPECT_GT(expect_whole(folder_ + "/sample.h5", sweep), 20);
  }

  void TearDown() override {
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank_of_this() == 0) std::filesystem::remove_all(folder_);
  }

  std::string folder_;
};

TEST_F(Consolidating, StringsThePartsTogether) { expect_target({}); }

TEST_F(Consolidating, CopiesChunksAndJoinsThoseOfSeveralSegments) {
  SampleSweep sweep;
  sweep.segment_tokens = {20000, 50000, 40000};  // the second and the last one hold a chunk whole
  expect_target(sweep);
}

TEST_F(Consolidating, StringsRowsTogetherWhereOnlyTokensWithEventsKeepThem) {
  SampleSweep sweep;
  sweep.per_token = PerToken::kMassive;
  expect_target(sweep);
}

TEST_F(Consolidating, WorksWithoutRowsPerToken) {
  SampleSweep sweep;
  sweep.per_token = PerToken::kNone;
  expect_target(sweep);
}

TEST_F(Consolidating, WorksWithoutEventsAndRows) {
  SampleSweep sweep;
  sweep.per_token = PerToken::kMassive;
  sweep.has_events = false;
  expect_target(sweep);
}

TEST_F(Consolidating, MembersFilesMakeTheSegment) {
  for (const int64_t members : {2, 3, 4, 7}) {  // of the last some own nothing
    for (const auto per_token : {PerToken::kAll, PerToken::kMassive}) {
      SampleSweep sweep;
      sweep.members = members;
      sweep.per_token = per_token;
      expect_target(sweep);
      TearDown();
    }
  }
}

TEST_F(Consolidating, MembersFilesMayBeMoreThanAreKeptOpen) {
  SampleSweep sweep;
  sweep.members = 5;
  sweep.segment_tokens =
      std::vector<int64_t>(11, 3216);  // over a chunk's end, the last window alone
  expect_target(sweep);
}

TEST_F(Consolidating, RanksWithoutWorkTakePart) {
  SampleSweep sweep;
  sweep.segment_tokens = {kSampleWindow};
  expect_target(sweep);
}

TEST_F(Consolidating, PartsMayBeManyAndSmallerThanAChunk) {
  SampleSweep sweep;
  sweep.segment_tokens =
      std::vector<int64_t>(21, 1600);  // more than are kept open, over a chunk's end
  expect_target(sweep);
}

TEST_F(Consolidating, PartThatVanishesIsAnErrorOnAllRanksAndLeavesNoTarget) {
  SampleSweep sweep;
  sweep.segment_tokens = std::vector<int64_t>(20, 160);  // rank 0 does not keep the first open
  Assembly assembly = prepare(sweep);
  assembly.on_step = [&](std::string_view step) {
    if (step == "created") std::filesystem::remove(assembly.parts.front());
  };
  int errors = 0;
  try {
    assemble(assembly, MPI_COMM_WORLD);
  } catch (const Error& error) {
    errors = 1;
    EXPECT_EQ(error.kind(), ErrorKind::kOutput);
  }
  MPI_Allreduce(MPI_IN_PLACE, &errors, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  int ranks = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  EXPECT_EQ(errors, ranks);
  EXPECT_FALSE(std::filesystem::exists(assembly.target));
  if (rank_of_this() != 0) return;
  EXPECT_FALSE(std::filesystem::exists(partial_of(assembly.target)));
}

TEST_F(Consolidating, TargetThatCannotBeWrittenIsAnErrorOnAllRanks) {
  Assembly assembly = prepare({});
  assembly.target = "/proc/sample.h5";
  try {
    assemble(assembly, MPI_COMM_WORLD);
    ADD_FAILURE() << "no error on rank " << rank_of_this();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kOutput);
  }
}

}  // namespace
}  // namespace actsweep
