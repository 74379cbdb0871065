#include "output/consolidate.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "expect_error.h"
#include "file_size_limit.h"
#include "output/process.h"
#include "sweep_check.h"
#include "temporary_folder.h"

namespace actsweep {
namespace {

/// Segments of a small sweep in a folder of their own, and what consolidates them.
struct Segments {
  explicit Segments(SampleSweep of) : sweep(std::move(of)) {
    sweep.folder = folder / "segments";
    assembly = sample_assembly(sweep, write_sample_segments(sweep), folder / "results/sample.h5");
  }
  TemporaryFolder folder;
  SampleSweep sweep;
  Assembly assembly;
};

SampleSweep small() {
  SampleSweep sweep;
  sweep.segment_tokens = {320, 160, 48};
  return sweep;
}

void expect_no_target(const Segments& segments) {
  EXPECT_FALSE(std::filesystem::exists(segments.assembly.target));
  EXPECT_FALSE(std::filesystem::exists(partial_of(segments.assembly.target)));
  EXPECT_EQ(find_segments(segments.sweep.folder).size(), segments.assembly.parts.size());
}

TEST(Consolidation, AnnouncesEachStepAfterItIsDone) {
  Segments segments(small());
  const std::string target = segments.assembly.target;
  std::vector<std::string> steps;
  segments.assembly.on_step = [&](std::string_view step) {
    steps.emplace_back(step);
    const bool is_renamed = steps.size() >= 5;
    EXPECT_EQ(std::filesystem::exists(target), is_renamed) << step;
    EXPECT_NE(std::filesystem::exists(partial_of(target)), is_renamed) << step;
    if (steps.size() < 4) {
      expect_error(ErrorKind::kOutput, {target, "not finished"},
                   [&] { open_sweep(partial_of(target)); });
    }
  };
  assemble(segments.assembly, MPI_COMM_SELF);
  EXPECT_EQ(steps, (std::vector<std::string>{"created", "rows written", "closed", "fsynced",
                                             "renamed", "done"}));
}

TEST(Consolidation, LeavesNoReservedBlocksBehind) {
  Segments segments(small());
  assemble(segments.assembly, MPI_COMM_SELF);
  struct stat status {};
  ASSERT_EQ(stat(segments.assembly.target.c_str(), &status), 0);
  EXPECT_LE(status.st_blocks * 512, status.st_size + 64 * 1024);
}

/// Of rows over four chunks: shared by two segments, whole in the second, shared, whole in the
/// third and the last one.
SampleSweep over_chunks() {
  SampleSweep sweep;
  sweep.segment_tokens = {20000, 50000, 40000};
  return sweep;
}

constexpr const char* kNorms = "residual/token_norm";  // [layer, token]

TEST(Consolidation, CopiesTheChunksThatASegmentHoldsWhole) {
  Segments segments(over_chunks());
  const std::vector<std::byte> mark(17, std::byte{42});  // nothing that could be read
  for (const size_t segment : {1, 2}) {
    H5File file = H5File::open_for_writing(segments.assembly.parts[segment], ErrorKind::kOutput);
    file.dataset(kNorms).write_chunk({3, kChunkRows}, mark);
    file.close();
  }
  assemble(segments.assembly, MPI_COMM_SELF);
  const H5File target = open_sweep(segments.assembly.target);
  const H5Dataset norms = target.dataset(kNorms);
  EXPECT_EQ(norms.read_chunk({3, kChunkRows}), mark);
  EXPECT_EQ(norms.read_chunk({3, 3 * kChunkRows}), mark);
  std::vector<float> found(2 * kChunkRows);
  norms.read(H5T_NATIVE_FLOAT, {{2, 0}, {1, found.size()}}, found.data());
  for (const hsize_t shared : {0, 2}) {
    norms.read(H5T_NATIVE_FLOAT, {{3, shared * kChunkRows}, {1, kChunkRows}}, found.data());
  }
}

/// Puts a dataset without values into the place of one in a segment.
void empty_dataset(const std::string& path) {
  H5File file = H5File::open_for_writing(path, ErrorKind::kOutput);
  {
    const H5Dataset found = file.dataset(kNorms);
    const H5Id creation = make_property_list(H5P_DATASET_CREATE);
    set_chunks(creation, found.chunk());
    const auto shape = found.shape();
    const int64_t padding = padding_of(found);
    ASSERT_GE(H5Ldelete(file.id(), kNorms, H5P_DEFAULT), 0);
    write_padding(file.create_dataset(kNorms, H5T_IEEE_F32LE, shape, creation.get()), padding);
  }
  file.close();
}

TEST(Consolidation, RefusesASegmentThatLacksAChunk) {
  Segments segments(over_chunks());
  const std::string& part = segments.assembly.parts[1];
  empty_dataset(part);
  expect_error(ErrorKind::kOutput, {part, "/residual/token_norm lacks a chunk"},
               [&] { assemble(segments.assembly, MPI_COMM_SELF); });
  expect_no_target(segments);
}

TEST(Consolidation, DeclarationsComeBackFromTheFile) {
  Segments segments(small());
  assemble(segments.assembly, MPI_COMM_SELF);
  std::map<std::string, Dataset> found;
  for (const auto& dataset : datasets_of(open_sweep(segments.assembly.target))) {
    found[dataset.path] = dataset;
  }
  EXPECT_EQ(found.size(), segments.assembly.datasets.size());
  for (const auto& declared : segments.assembly.datasets) {
    const Dataset& dataset = found[declared.path];
    EXPECT_EQ(dataset.type, declared.type) << declared.path;
    EXPECT_EQ(dataset.axes, declared.axes) << declared.path;
    EXPECT_EQ(dataset.units, declared.units) << declared.path;
    EXPECT_EQ(dataset.long_name, declared.long_name) << declared.path;
    EXPECT_EQ(dataset.merge, declared.merge) << declared.path;
    EXPECT_EQ(dataset.index_of, declared.index_of) << declared.path;
    EXPECT_EQ(dataset.counts_documents, declared.counts_documents) << declared.path;
  }
}

TEST(Consolidation, RefusesPartsThatDoNotAddUp) {
  Segments segments(small());
  segments.assembly.parts.erase(segments.assembly.parts.begin() + 1);
  expect_error(ErrorKind::kOutput, {"hold 368 along token, expected 528"},
               [&] { assemble(segments.assembly, MPI_COMM_SELF); });
}

/// Puts another table of micro-batches into a member's file.
void change_counts(const std::string& path,
                   const std::function<void(std::vector<RowCounts>&)>& by) {
  H5File file = H5File::open_for_writing(path, ErrorKind::kOutput);
  auto counts = read_counts(file);
  by(counts);
  ASSERT_GE(H5Ldelete(file.id(), "microbatches", H5P_DEFAULT), 0);
  write_counts(file, counts);
  file.close();
}

TEST(Consolidation, RefusesAMembersFileThatDoesNotFitItsMicrobatches) {
  SampleSweep sweep = small();
  sweep.members = 2;
  Segments segments(sweep);
  const std::string part = segments.assembly.parts[1] + ".part-1";
  change_counts(part, [](auto& counts) { counts.front().tokens += kSampleWindow; });
  expect_error(ErrorKind::kOutput, {part, "not as long as its micro-batches together"},
               [&] { assemble(segments.assembly, MPI_COMM_SELF); });
  change_counts(part, [](auto& counts) { counts.pop_back(); });
  expect_error(ErrorKind::kOutput, {part, "has 1 micro-batches, its segment has 2"},
               [&] { assemble(segments.assembly, MPI_COMM_SELF); });
  std::filesystem::remove(part);
  expect_error(ErrorKind::kOutput, {part, "No such file"},
               [&] { assemble(segments.assembly, MPI_COMM_SELF); });
  EXPECT_FALSE(std::filesystem::exists(segments.assembly.target));
}

TEST(Consolidation, RefusesAPartWithoutADataset) {
  Segments segments(small());
  segments.assembly.datasets.push_back({"residual/extra",
                                        ElementType::kFloat32,
                                        {Axis::kLayer, Axis::kToken},
                                        "1",
                                        "",
                                        Merge::kRows});
  expect_error(ErrorKind::kOutput, {"segment-000000.h5", "/residual/extra"},
               [&] { assemble(segments.assembly, MPI_COMM_SELF); });
  expect_no_target(segments);
}

TEST(Consolidation, RefusesAPartOfAnotherType) {
  Segments segments(small());
  for (auto& dataset : segments.assembly.datasets) {
    if (dataset.path == "residual/token_norm") dataset.type = ElementType::kFloat64;
  }
  expect_error(ErrorKind::kOutput, {"segment-000000.h5", "/residual/token_norm", "float64"},
               [&] { assemble(segments.assembly, MPI_COMM_SELF); });
}

TEST(Consolidation, RefusesAPartOfAnotherShape) {
  Segments segments(small());
  segments.assembly.extents[Axis::kChannel] = 6;
  expect_error(ErrorKind::kOutput,
               {"segment-000000.h5", "/residual/channel_sum", "5 along channel, expected 6"},
               [&] { assemble(segments.assembly, MPI_COMM_SELF); });
}

TEST(Consolidation, RefusesAMissingCapture) {
  Segments segments(small());
  segments.assembly.parts.pop_back();
  expect_error(ErrorKind::kOutput, {"no part holds /capture/long/id"},
               [&] { assemble(segments.assembly, MPI_COMM_SELF); });
}

TEST(Consolidation, FullDiskAtTheBeginningLeavesTheSegmentsAndNoTarget) {
  Segments segments(small());
  {
    const FileSizeLimit limit(20 * 1024);
    expect_error(ErrorKind::kOutput, {"sample.h5.partial", "File too large"},
                 [&] { assemble(segments.assembly, MPI_COMM_SELF); });
  }
  expect_no_target(segments);
}

TEST(Consolidation, DiskWithoutRoomForRowsIsRefusedBeforeAnyRankWritesThem) {
  SampleSweep sweep;
  sweep.segment_tokens = {32000};
  Segments segments(sweep);
  bool has_begun = false;
  segments.assembly.on_step = [&](std::string_view) { has_begun = true; };
  {
    const FileSizeLimit limit(512 * 1024);
    expect_error(ErrorKind::kOutput, {"sample.h5.partial", "KiB aside", "File too large"},
                 [&] { assemble(segments.assembly, MPI_COMM_SELF); });
  }
  EXPECT_FALSE(has_begun);
  expect_no_target(segments);
}

/// Lets `damage` loose on the file after its rows were written.
void expect_damage_is_seen(const std::vector<std::string>& words,
                           const std::function<void(const std::string& partial)>& damage) {
  Segments segments(small());
  segments.assembly.on_step = [&](std::string_view step) {
    if (step == "closed") damage(partial_of(segments.assembly.target));
  };
  expect_error(ErrorKind::kOutput, words, [&] { assemble(segments.assembly, MPI_COMM_SELF); });
  expect_no_target(segments);
}

TEST(Consolidation, FileIsOpenedAgainBeforeItHasItsName) {
  expect_damage_is_seen({"sample.h5.partial", "lacks /residual/count; its segments stay"},
                        [](const std::string& partial) {
                          H5File file = H5File::open_for_writing(partial, ErrorKind::kOutput);
                          ASSERT_GE(H5Ldelete(file.id(), "residual/count", H5P_DEFAULT), 0);
                          file.close();
                        });
  expect_damage_is_seen(
      {"sample.h5.partial", "/residual/token_norm is not whole"}, [](const std::string& partial) {
        H5File file = H5File::open_for_writing(partial, ErrorKind::kOutput);
        const auto shape = file.dataset("residual/token_norm").shape();
        ASSERT_GE(H5Ldelete(file.id(), "residual/token_norm", H5P_DEFAULT), 0);
        const H5Id creation = make_property_list(H5P_DATASET_CREATE);
        H5Pset_chunk(creation.get(), static_cast<int>(shape.size()), shape.data());
        file.create_dataset("residual/token_norm", H5T_IEEE_F32LE, shape, creation.get());
        file.close();
      });
  expect_damage_is_seen({"sample.h5.partial"}, [](const std::string& partial) {
    std::filesystem::resize_file(partial, 4096);
  });
}

TEST(Consolidation, UnwritableTargetIsAnOutputError) {
  Segments segments(small());
  segments.assembly.target = "/proc/sample.h5";
  expect_error(ErrorKind::kOutput, {"/proc/sample.h5.partial"},
               [&] { assemble(segments.assembly, MPI_COMM_SELF); });
}

}  // namespace
}  // namespace actsweep
