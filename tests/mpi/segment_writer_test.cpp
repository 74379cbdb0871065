// The commit of a segment by 1, 2, 3 and 4 members: member 0's file gets its name last, whoever is
// slow or fails.
#include "run/segment_writer.h"

#include <gtest/gtest.h>
#include <mpi.h>

#include <array>
#include <filesystem>
#include <future>
#include <random>

#include "base/error.h"
#include "comm/mpi_backend.h"
#include "file_size_limit.h"

namespace actsweep {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kTokens = 10;  // of each member

const std::vector<Dataset> kDatasets = {
    {"residual/token_norm",
     ElementType::kFloat32,
     {Axis::kLayer, Axis::kToken},
     "1",
     "",
     Merge::kRows},
    {"loss/nll_sum", ElementType::kFloat64, {}, "nat", "", Merge::kSum},
};

/// What cannot be compressed.
std::vector<std::byte> noise(size_t bytes) {
  std::mt19937 random(7);
  std::vector<std::byte> values(bytes);
  for (auto& value : values) value = static_cast<std::byte>(random());
  return values;
}

class Writing : public testing::Test {
 protected:
  void SetUp() override {
    std::array<char, 256> folder{};
    if (is_first()) {
      const std::string pattern = testing::TempDir() + "actsweep-XXXXXX";
      std::copy(pattern.begin(), pattern.end(), folder.begin());
      if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no temporary folder");
    }
    MPI_Bcast(folder.data(), static_cast<int>(folder.size()), MPI_CHAR, 0, MPI_COMM_WORLD);
    folder_.path = folder.data();
    folder_.attributes = {{"identity", std::string("{}")}, {"device", std::string("cpu")}};
  }

  void TearDown() override {
    MPI_Barrier(MPI_COMM_WORLD);
    if (is_first()) fs::remove_all(folder_.path);
  }

  bool is_first() const { return group_.rank() == 0; }
  bool is_last() const { return group_.rank() == group_.size() - 1; }
  std::string name(int64_t number) const {
    return folder_.path + "/" + name_of(SegmentPart{number, 0, group_.size()});
  }
  /// A step of the last member's commit.
  std::string step_of_last(int64_t number, const std::string& step) const {
    return words_of({number, group_.size() - 1, group_.size()}) + ": " + step;
  }

  std::unique_ptr<SegmentOutput> begin(SegmentWriter& writer, int64_t number,
                                       int64_t tokens = kTokens) const {
    return writer.begin_segment(number, kDatasets, {{Axis::kLayer, 1}, {Axis::kToken, tokens}});
  }

  /// Writes a segment whole and queues its commit.
  void write(SegmentWriter& writer, int64_t number) const {
    auto output = begin(writer, number);
    output->write("residual/token_norm", {0, 0}, {1, kTokens}, std::vector<std::byte>(4 * kTokens));
    if (is_first()) output->write("loss/nll_sum", {}, {}, std::vector<std::byte>(8));
    writer.commit(std::move(output), {{.tokens = kTokens}});
  }

  int64_t files_left() const {
    int64_t count = 0;
    for (const auto& entry : fs::directory_iterator(folder_.path)) {
      if (entry.path().filename().string().find(".partial") != std::string::npos) ++count;
    }
    return count;
  }

  Group group_{MPI_COMM_WORLD, make_mpi_backend(MPI_COMM_WORLD)};
  SegmentFolder folder_;
};

TEST_F(Writing, SegmentIsThereOnceAllItsPartsAre) {
  std::promise<void> gate;
  const auto opened = gate.get_future().share();
  folder_.on_step = [&, opened](std::string_view step) {
    if (is_last() && group_.size() > 1 && step == step_of_last(0, "fsynced")) opened.wait();
  };
  SegmentWriter writer(group_, folder_);
  write(writer, 0);
  for (int layer = 0; layer < 20; ++layer) {
    writer.commit_ready();
    EXPECT_TRUE(group_.size() == 1 || !fs::exists(name(0)));
  }
  MPI_Barrier(MPI_COMM_WORLD);
  gate.set_value();
  writer.finish();
  EXPECT_TRUE(fs::exists(name(0)));
  EXPECT_EQ(find_segments(folder_.path).size(), 1u);  // each part is there
}

TEST_F(Writing, SegmentIsThereWhenTheNextOneEnds) {
  SegmentWriter writer(group_, folder_);
  for (int64_t number = 0; number < 5; ++number) write(writer, number);
  MPI_Barrier(MPI_COMM_WORLD);
  writer.finish();
  EXPECT_EQ(find_segments(folder_.path).size(), 5u);
}

TEST_F(Writing, PartThatFailsIsAnErrorOfAllAndLeavesTheSegmentsBefore) {
  folder_.on_step = [&](std::string_view step) {
    if (is_last() && step == step_of_last(1, "written")) fail(ErrorKind::kOutput, "no room");
  };
  {
    SegmentWriter writer(group_, folder_);
    write(writer, 0);
    write(writer, 1);
    EXPECT_THROW(writer.finish(), Error);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  EXPECT_TRUE(fs::exists(name(0)));
  EXPECT_FALSE(fs::exists(name(1)));
  EXPECT_EQ(files_left(), 0);
}

TEST_F(Writing, FirstMembersFailureLeavesASegmentWhosePartsAreThere) {
  std::promise<void> closed;
  folder_.on_step = [&](std::string_view step) {
    if (step == "segment 0: fsynced") closed.set_value();
  };
  {
    SegmentWriter writer(group_, folder_);
    write(writer, 0);
    const auto output = begin(writer, 1, 100'000);
    if (is_first()) {
      closed.get_future().wait();
      const FileSizeLimit limit(4096);
      output->write("residual/token_norm", {0, 0}, {1, 100'000}, noise(400'000));
      while (!writer.failed()) std::this_thread::yield();
    }
    EXPECT_THROW(writer.finish(), Error);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  EXPECT_TRUE(fs::exists(name(0)));
  EXPECT_FALSE(fs::exists(name(1)));
  EXPECT_EQ(files_left(), 0);
}

TEST_F(Writing, PromptIsTheFirstMembersAlone) {
  SegmentWriter writer(group_, folder_);
  const auto output = writer.begin_prompt(3, {kDatasets.back()}, {});
  EXPECT_EQ(output != nullptr, is_first());
  if (output) {
    output->write("loss/nll_sum", {}, {}, std::vector<std::byte>(8));
    output->finish({});
    output->commit();
  }
  writer.finish();
  EXPECT_EQ(find_segments(folder_.path).size(), 1u);
}

}  // namespace
}  // namespace actsweep
