#include "output/linked_rows.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "expect_error.h"
#include "output/merge.h"
#include "output/pack.h"
#include "output/process.h"
#include "sweep_check.h"
#include "temporary_folder.h"

namespace actsweep {
namespace {

namespace fs = std::filesystem;

/// A sweep in a folder of its own, with segments where a run has them.
std::string finish(const std::string& folder, SampleSweep sweep, bool links_rows,
                   const std::string& name = "sample.h5") {
  const std::string path = folder + "/" + name;
  sweep.folder = path + ".segments";
  auto assembly = sample_assembly(sweep, write_sample_segments(sweep), path);
  assembly.links_rows = links_rows;
  assemble(assembly, MPI_COMM_SELF);
  return path;
}

/// Of one chunk in all, and of four: two whole ones, two shared.
std::vector<SampleSweep> sample_sweeps() {
  std::vector<SampleSweep> sweeps(5);
  sweeps[1].segment_tokens = {20000, 50000, 40000};
  sweeps[2].members = 3;
  sweeps[2].per_token = PerToken::kMassive;
  sweeps[3].per_token = PerToken::kNone;
  sweeps[4].segment_tokens = {320, 160, 48};
  sweeps[4].has_events = false;
  return sweeps;
}

SampleSweep small(const std::string& fingerprint = "c0", int64_t first_token = 0) {
  SampleSweep sweep;
  sweep.segment_tokens = {320, 160, 48};
  sweep.corpus_fingerprint = fingerprint;
  sweep.first_token = first_token;
  return sweep;
}

std::set<std::string> names_of(const H5Object& object) {
  const auto names = object.attribute_names();
  return {names.begin(), names.end()};
}

/// The chunks of a dataset as they lie in the file, or its values where it has none.
std::vector<std::byte> stored(const H5Dataset& dataset, const Dataset& declared) {
  const auto shape = dataset.shape();
  std::vector<std::byte> values(static_cast<size_t>(byte_count(declared, shape)));
  if (values.empty()) return values;
  if (dataset.chunk().empty()) {
    dataset.read_all(memory_type(declared.type), values.data());
    return values;
  }
  values.clear();
  hsize_t chunks = 0;
  dataset.check(H5Dget_num_chunks(dataset.id(), dataset.space().get(), &chunks), "count chunks");
  for (hsize_t i = 0; i < chunks; ++i) {
    std::vector<hsize_t> offset(shape.size());
    dataset.check(H5Dget_chunk_info(dataset.id(), dataset.space().get(), i, offset.data(), nullptr,
                                    nullptr, nullptr),
                  "find a chunk");
    const auto bytes = dataset.read_chunk(offset);
    values.insert(values.end(), bytes.begin(), bytes.end());
  }
  return values;
}

/// Bit for bit: attributes, shapes, chunks and what lies in them.
void expect_same(const std::string& path, const std::string& other) {
  const H5File a = open_sweep(path), b = open_sweep(other);
  EXPECT_EQ(names_of(a), names_of(b));
  for (const auto& name : names_of(a)) EXPECT_EQ(a.read_attribute(name), b.read_attribute(name));
  EXPECT_EQ(a.dataset_paths(), b.dataset_paths());
  for (const auto& declared : datasets_of(a)) {
    const H5Dataset first = a.dataset(declared.path), second = b.dataset(declared.path);
    EXPECT_EQ(first.shape(), second.shape()) << declared.path;
    EXPECT_EQ(first.chunk(), second.chunk()) << declared.path;
    EXPECT_EQ(names_of(first), names_of(second)) << declared.path;
    EXPECT_EQ(stored(first, declared), stored(second, declared)) << declared.path;
  }
}

TEST(LinkedRows, AreReadAsIfTheFileHeldThem) {
  for (const auto& sweep : sample_sweeps()) {
    const TemporaryFolder folder;
    const std::string path = finish(folder.path(), sweep, true);
    EXPECT_TRUE(is_linked(open_sweep(path)));
    EXPECT_GT(expect_whole(path, sweep), 20);
  }
}

TEST(LinkedRows, MoveWithTheirFolder) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "here");
  finish(folder / "here", small(), true);
  fs::rename(folder / "here", folder / "there");
  EXPECT_GT(expect_whole(folder / "there/sample.h5", small()), 20);
  fs::create_symlink(folder / "there/sample.h5", folder / "link.h5");
  EXPECT_GT(expect_whole(folder / "link.h5", small()), 20);
}

TEST(LinkedRows, PackedAreWhatAPackedSweepHolds) {
  for (const auto& sweep : sample_sweeps()) {
    const TemporaryFolder folder;
    const std::string linked = finish(folder.path(), sweep, true);
    const std::string expected = finish(folder.path(), sweep, false, "packed.h5");
    pack_file(linked, folder / "out.h5");
    expect_same(folder / "out.h5", expected);
    EXPECT_TRUE(fs::exists(linked + ".segments"));
    pack_file(linked, "");
    expect_same(linked, expected);
    EXPECT_FALSE(fs::exists(linked + ".segments"));
  }
}

TEST(LinkedRows, MergeAsPackedOnes) {
  const TemporaryFolder folder;
  const SampleSweep first = small("c0"), second = small("c1", 2000);
  for (const bool links_rows : {false, true}) {
    const std::string of = links_rows ? "linked" : "packed";
    fs::create_directory(folder / of);
    merge_files({finish(folder / of, first, links_rows, "a.h5"),
                 finish(folder / of, second, links_rows, "b.h5")},
                folder / (of + ".h5"));
  }
  const H5File a = open_sweep(folder / "packed.h5"), b = open_sweep(folder / "linked.h5");
  EXPECT_FALSE(is_linked(b));
  for (const auto& declared : datasets_of(a)) {
    EXPECT_EQ(stored(a.dataset(declared.path), declared),
              stored(b.dataset(declared.path), declared))
        << declared.path;
  }
}

TEST(LinkedRows, MissingOrDamagedSegmentIsAnErrorThatNamesIt) {
  const TemporaryFolder folder;
  const std::string path = finish(folder.path(), small(), true);
  const std::string segment = path + ".segments/segment-000001.h5";
  const auto bytes = fs::file_size(segment);
  fs::resize_file(segment, bytes - 1);
  const auto refuse = [&](const std::string& found) {
    const std::vector<std::string> words = {
        path, segment, fmt::format("expected {} bytes, found {}", bytes, found)};
    expect_error(ErrorKind::kOutput, words, [&] { open_sweep(path); });
    expect_error(ErrorKind::kOutput, words, [&] { pack_file(path, folder / "out.h5"); });
  };
  refuse(std::to_string(bytes - 1));
  fs::remove(segment);
  refuse("No such file or directory");
  EXPECT_FALSE(fs::exists(folder / "out.h5"));
}

TEST(LinkedRows, PackingRefusesAPackedFileAndAnExistingTarget) {
  const TemporaryFolder folder;
  const std::string packed = finish(folder.path(), small(), false, "packed.h5");
  const std::string linked = finish(folder.path(), small(), true);
  expect_error(ErrorKind::kOutput, {packed, "found one that holds them itself"},
               [&] { pack_file(packed, ""); });
  expect_error(ErrorKind::kOutput, {packed, "exists already"}, [&] { pack_file(linked, packed); });
}

}  // namespace
}  // namespace actsweep
