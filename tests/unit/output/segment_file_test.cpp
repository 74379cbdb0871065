#include "output/segment_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>

#include "expect_error.h"
#include "file_size_limit.h"
#include "output/process.h"
#include "temporary_folder.h"

namespace actsweep {
namespace {

const std::vector<Dataset> kDatasets = {
    {"residual/token_norm",
     ElementType::kFloat32,
     {Axis::kLayer, Axis::kToken},
     "1",
     "",
     Merge::kRows},
    {"residual/row_norm", ElementType::kFloat32, {Axis::kLayer, Axis::kRow}, "1", "", Merge::kRows},
    {"massive/token", ElementType::kInt64, {Axis::kEvent}, "1", "", Merge::kGather},
    {"loss/nll_sum", ElementType::kFloat64, {}, "nat", "", Merge::kSum},
};

constexpr int64_t kLayers = 2;

SegmentFile open_segment(const std::string& folder, int64_t number, int64_t tokens) {
  return SegmentFile(folder, {number}, kDatasets, {{Axis::kLayer, kLayers}, {Axis::kToken, tokens}},
                     {{"identity", std::string("{\"a\":1}")}, {"device", std::string("cpu")}});
}

/// Writes every value: token_norm[l, t] = 100 l + t, in two parts.
void fill(SegmentFile& segment, int64_t tokens) {
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    std::vector<float> norms;
    for (int64_t token = 0; token < tokens; ++token) {
      norms.push_back(static_cast<float>(100 * layer + token));
    }
    const int64_t half = tokens / 2;
    segment.write("residual/token_norm", {layer, 0}, {1, half}, norms.data());
    segment.write("residual/token_norm", {layer, half}, {1, tokens - half}, norms.data() + half);
  }
  const double nll = 2.5;
  segment.write("loss/nll_sum", {}, {}, &nll);
}

void commit(SegmentFile& segment) {
  segment.finish({});
  segment.commit();
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST(SegmentFile, CommittedSegmentHoldsWhatWasWritten) {
  const TemporaryFolder folder;
  SegmentFile segment = open_segment(folder.path(), 12, 10);
  fill(segment, 10);
  commit(segment);
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"segment-000012.h5"});

  const H5File file = H5File::open(folder / "segment-000012.h5", ErrorKind::kOutput);
  std::vector<float> norms(20);
  file.dataset("residual/token_norm").read_all(H5T_NATIVE_FLOAT, norms.data());
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(norms[i], static_cast<float>(100 * (i / 10) + i % 10));
  double nll = 0;
  file.dataset("loss/nll_sum").read_all(H5T_NATIVE_DOUBLE, &nll);
  EXPECT_EQ(nll, 2.5);
}

TEST(SegmentFile, AppendedPartsLieEndToEndAlongTheirAxis) {
  const TemporaryFolder folder;
  SegmentFile segment = open_segment(folder.path(), 0, 4);
  fill(segment, 4);
  const std::vector<float> first = {1, 2, 10, 20}, second = {3, 30};  // [layers, rows]
  segment.append("residual/row_norm", 2, first.data());
  segment.append("residual/row_norm", 0, nullptr);
  segment.append("residual/row_norm", 1, second.data());
  const std::vector<int64_t> tokens = {5, 6};
  segment.append("massive/token", 2, tokens.data());
  commit(segment);

  const H5File file = H5File::open(segment.path(), ErrorKind::kOutput);
  const H5Dataset rows = file.dataset("residual/row_norm");
  ASSERT_EQ(rows.shape(), (std::vector<hsize_t>{2, 3}));
  std::vector<float> norms(6);
  rows.read_all(H5T_NATIVE_FLOAT, norms.data());
  EXPECT_EQ(norms, (std::vector<float>{1, 2, 3, 10, 20, 30}));
  EXPECT_EQ(file.dataset("massive/token").shape(), std::vector<hsize_t>{2});
}

/// [row, layer, channel] of two layers and three channels, rows from `first` on.
std::vector<float> stored_rows(int64_t first, int64_t rows) {
  std::vector<float> values(static_cast<size_t>(rows * 2 * 3));
  std::iota(values.begin(), values.end(), static_cast<float>(first * 2 * 3));
  return values;
}

TEST(SegmentFile, StoredRowsComeLayerByLayerOrAreAppended) {
  const Dataset stored{"store/residual",
                       ElementType::kFloat32,
                       {Axis::kStoredRow, Axis::kStoredLayer, Axis::kChannel},
                       "1",
                       "",
                       Merge::kRows};
  const auto expected = stored_rows(0, 5);
  for (const bool is_known : {true, false}) {
    const TemporaryFolder folder;
    Extents extents = {{Axis::kStoredLayer, 2}, {Axis::kChannel, 3}};
    if (is_known) extents[Axis::kStoredRow] = 5;
    SegmentFile segment(folder.path(), {0}, {stored}, extents, {});
    if (is_known) {
      for (int64_t layer = 0; layer < 2; ++layer) {
        std::vector<float> values;
        for (int64_t row = 0; row < 5; ++row) {
          const auto* begin = expected.data() + (row * 2 + layer) * 3;
          values.insert(values.end(), begin, begin + 3);
        }
        segment.write("store/residual", {0, layer, 0}, {5, 1, 3}, values.data());
      }
    } else {
      segment.append("store/residual", 2, stored_rows(0, 2).data());
      segment.append("store/residual", 0, nullptr);
      segment.append("store/residual", 3, stored_rows(2, 3).data());
    }
    segment.finish(std::vector<RowCounts>{{.stored = 2}, {.stored = 3}});
    segment.commit();
    const H5File file = H5File::open(segment.path(), ErrorKind::kOutput);
    ASSERT_EQ(file.dataset("store/residual").shape(), (std::vector<hsize_t>{5, 2, 3}));
    std::vector<float> found(30);
    file.dataset("store/residual").read_all(H5T_NATIVE_FLOAT, found.data());
    EXPECT_EQ(found, expected) << is_known;
  }
}

TEST(SegmentFile, UncommittedSegmentLeavesNoFile) {
  const TemporaryFolder folder;
  {
    SegmentFile segment = open_segment(folder.path(), 3, 10);
    fill(segment, 10);
    EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{partial_of("segment-000003.h5")});
  }
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(SegmentFile, MissingValuesAreAMistakeThatNamesTheDataset) {
  const TemporaryFolder folder;
  SegmentFile segment = open_segment(folder.path(), 3, 10);
  try {
    segment.finish({});
    ADD_FAILURE() << "committed without values";
  } catch (const std::logic_error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("of loss/nll_sum"));
  }
}

TEST(SegmentFile, MicrobatchesThatDoNotAddUpToItsRowsAreAMistake) {
  const TemporaryFolder folder;
  SegmentFile segment = open_segment(folder.path(), 3, 10);
  fill(segment, 10);
  EXPECT_THROW(segment.finish(std::vector<RowCounts>{{.tokens = 4}, {.tokens = 5}}),
               std::logic_error);
}

TEST(SegmentFile, CountsOfItsMicrobatchesComeBack) {
  const TemporaryFolder folder;
  SegmentFile segment = open_segment(folder.path(), 3, 10);
  fill(segment, 10);
  const std::vector<RowCounts> counts = {{.tokens = 4}, {.tokens = 0}, {.tokens = 6}};
  segment.finish(counts);
  segment.commit();
  const H5File file = H5File::open(segment.path(), ErrorKind::kOutput);
  EXPECT_EQ(members_of(file), 1);
  ASSERT_TRUE(has_counts(file));
  EXPECT_EQ(read_counts(file), counts);
}

TEST(SegmentFile, CommitAnnouncesEachStepAfterItIsDone) {
  const TemporaryFolder folder;
  SegmentFile segment = open_segment(folder.path(), 7, 4);
  fill(segment, 4);
  std::vector<std::string> steps;
  const auto note = [&](std::string_view step) {
    steps.emplace_back(step);
    const bool is_renamed = steps.size() >= 3;
    EXPECT_EQ(std::filesystem::exists(folder / "segment-000007.h5"), is_renamed) << step;
    EXPECT_NE(std::filesystem::exists(partial_of(folder / "segment-000007.h5")), is_renamed)
        << step;
  };
  segment.finish({}, note);
  segment.commit(note);
  EXPECT_EQ(steps, (std::vector<std::string>{"written", "fsynced", "renamed", "committed"}));
}

TEST(SegmentFile, FolderThatCannotBeMadeIsAnOutputErrorWithTheReason) {
  expect_error(ErrorKind::kOutput, {"/dev/null/segments", "Not a directory"},
               [] { open_segment("/dev/null/segments", 0, 4); });
}

TEST(SegmentFile, FolderThatCannotBeWrittenIsAnOutputErrorWithTheReason) {
  expect_error(ErrorKind::kOutput, {"/proc/segment-000000.h5.partial", "errno = 2"},
               [] { open_segment("/proc", 0, 4); });
}

TEST(SegmentFile, FullDiskDuringAWriteIsAnOutputErrorAndLeavesNoFile) {
  const TemporaryFolder folder;
  {
    SegmentFile segment = open_segment(folder.path(), 0, 100000);
    std::mt19937 random(7);
    std::vector<uint32_t> noise(100000);  // which cannot be compressed
    std::generate(noise.begin(), noise.end(), random);
    const FileSizeLimit limit(100 * 1024);
    expect_error(ErrorKind::kOutput,
                 {"segment-000000.h5.partial", "residual/token_norm", "File too large"},
                 [&] { segment.write("residual/token_norm", {0, 0}, {1, 100000}, noise.data()); });
  }
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(SegmentFile, FullDiskDuringTheCommitIsAnOutputErrorAndLeavesNoFile) {
  const TemporaryFolder folder;
  {
    SegmentFile segment = open_segment(folder.path(), 0, 10);
    fill(segment, 10);
    const FileSizeLimit limit(std::filesystem::file_size(partial_of(segment.path())));
    expect_error(ErrorKind::kOutput, {"segment-000000.h5.partial", "File too large"},
                 [&] { segment.finish({}); });
  }
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(FoundSegments, AreListedByNumberWithTheirIdentity) {
  const TemporaryFolder folder;
  for (const int64_t number : {10, 2}) {
    SegmentFile segment = open_segment(folder.path(), number, 4);
    fill(segment, 4);
    commit(segment);
  }
  std::ofstream(folder / "segment-000004.h5.partial") << "half";
  const auto found = find_segments(folder.path());
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].number, 2);
  EXPECT_EQ(found[1].number, 10);
  EXPECT_EQ(found[1].path, folder / "segment-000010.h5");
  EXPECT_EQ(found[0].identity, "{\"a\":1}");
  EXPECT_EQ(found[0].device, "cpu");
}

TEST(FoundSegments, AreNoneWhereTheFolderIsMissing) {
  const TemporaryFolder folder;
  EXPECT_TRUE(find_segments(folder / "nowhere").empty());
  EXPECT_FALSE(std::filesystem::exists(folder / "nowhere"));
}

TEST(FoundSegments, TruncatedSegmentIsAnErrorThatNamesIt) {
  const TemporaryFolder folder;
  SegmentFile segment = open_segment(folder.path(), 5, 1000);
  fill(segment, 1000);
  commit(segment);
  std::filesystem::resize_file(segment.path(), std::filesystem::file_size(segment.path()) - 100);
  expect_error(ErrorKind::kOutput, {"segment-000005.h5", "truncated file"},
               [&] { find_segments(folder.path()); });
}

TEST(FoundSegments, SegmentUnderAnotherNumberIsAnErrorThatNamesIt) {
  const TemporaryFolder folder;
  SegmentFile segment = open_segment(folder.path(), 5, 4);
  fill(segment, 4);
  commit(segment);
  std::filesystem::rename(segment.path(), folder / "segment-000006.h5");
  expect_error(ErrorKind::kOutput, {"segment-000006.h5", "holds segment 5"},
               [&] { find_segments(folder.path()); });
}

/// A segment of three members in a folder of its own.
struct InParts {
  InParts() {
    for (const int64_t member : {2, 1, 0}) write(member, "{}");
  }
  void write(int64_t member, const std::string& identity, int64_t number = 7) const {
    SegmentFile file(folder.path(), {number, member, 3}, {}, {},
                     {{"identity", identity}, {"device", std::string("cpu")}});
    commit(file);
  }
  void expect_refused(const std::vector<std::string>& words) const {
    expect_error(ErrorKind::kOutput, words, [&] { find_segments(folder.path()); });
  }
  TemporaryFolder folder;
  std::string part = folder / "segment-000007.h5.part-2";
};

TEST(FoundSegments, PartsLieBesideTheirSegmentAndAreNone) {
  const InParts segment;
  EXPECT_EQ(names_in(segment.folder.path()),
            (std::vector<std::string>{"segment-000007.h5", "segment-000007.h5.part-1",
                                      "segment-000007.h5.part-2"}));
  EXPECT_EQ(find_segments(segment.folder.path()).size(), 1u);
}

TEST(FoundSegments, MissingPartIsAnErrorThatNamesIt) {
  const InParts segment;
  std::filesystem::remove(segment.part);
  segment.expect_refused({segment.part, "No such file"});
}

TEST(FoundSegments, TruncatedPartIsAnErrorThatNamesIt) {
  const InParts segment;
  std::filesystem::resize_file(segment.part, std::filesystem::file_size(segment.part) - 10);
  segment.expect_refused({segment.part, "truncated file"});
}

TEST(FoundSegments, PartOfAnotherJobIsAnErrorThatNamesIt) {
  const InParts segment;
  segment.write(2, "{\"a\":1}");
  segment.expect_refused({segment.part, "made by another job than its segment"});
}

TEST(FoundSegments, PartOfAnotherSegmentIsAnErrorThatNamesIt) {
  const InParts segment;
  segment.write(1, "{}", 8);
  std::filesystem::rename(segment.folder / "segment-000008.h5.part-1", segment.part);
  segment.expect_refused({segment.part, "holds part 1 of segment 8, expected part 2 of segment 7"});
}

TEST(FoundSegments, LeaveOutWhatAKilledWriterLeftBehind) {
  const TemporaryFolder folder;
  SegmentFile segment = open_segment(folder.path(), 5, 4);
  fill(segment, 4);
  commit(segment);
  std::ofstream(folder / "segment-000004.h5.partial") << "half";
  const auto found = find_segments(folder.path());
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].number, 5);
}

}  // namespace
}  // namespace actsweep
