#include "output/merge.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "expect_error.h"
#include "sweep_check.h"
#include "temporary_folder.h"

namespace actsweep {
namespace {

class Merging : public testing::Test {
 protected:
  /// A finished file of some tokens, from this token of the whole corpus on.
  std::string finish(const std::string& name, SampleSweep sweep,
                     const std::function<void(Assembly&)>& change = {}) {
    sweep.folder = folder_ / (name + "-segments");
    const std::string target = folder_ / (name + ".h5");
    Assembly assembly = sample_assembly(sweep, write_sample_segments(sweep), target);
    if (change) change(assembly);
    assemble(assembly, MPI_COMM_SELF);
    return target;
  }

  static SampleSweep corpus(int64_t first_token, std::vector<int64_t> segments,
                            const std::string& fingerprint) {
    SampleSweep sweep;
    sweep.first_token = first_token;
    sweep.segment_tokens = std::move(segments);
    sweep.corpus_fingerprint = fingerprint;
    return sweep;
  }

  void expect_refused(const std::vector<std::string>& words,
                      const std::function<void(Assembly&)>& change,
                      const std::string& fingerprint = "c1") {
    const std::string a = finish("a", corpus(0, {320}, "c0"));
    const std::string b = finish("b", corpus(2000, {320}, fingerprint), change);
    expect_error(ErrorKind::kOutput, words, [&] { merge_files({a, b}, folder_ / "merged.h5"); });
    EXPECT_FALSE(std::filesystem::exists(folder_ / "merged.h5"));
  }

  TemporaryFolder folder_;
};

void replace(Assembly& assembly, const std::string& name, AttributeValue value) {
  for (auto& attribute : assembly.attributes) {
    if (attribute.name == name) attribute.value = value;
  }
}

TEST_F(Merging, IsTheSweepOfTheCorporaOneAfterTheOther) {
  for (const PerToken per_token : {PerToken::kAll, PerToken::kMassive, PerToken::kNone}) {
    const std::string suffix = std::to_string(static_cast<int>(per_token));
    SampleSweep first = corpus(0, {24000, 8000}, "c0"), second = corpus(32000, {8000}, "c1"),
                third = corpus(40000, {4000}, "c2"), whole = corpus(0, {44000}, "");
    for (auto* sweep : {&first, &second, &third, &whole}) sweep->per_token = per_token;
    const std::string merged = folder_ / ("merged" + suffix + ".h5");
    merge_files(
        {finish("a" + suffix, first), finish("b" + suffix, second), finish("c" + suffix, third)},
        merged);
    EXPECT_GT(expect_whole(merged, whole), 20);
    const H5File file = open_sweep(merged);
    EXPECT_EQ(file.read_int("num_documents"), 44);
    EXPECT_EQ(file.read_text("merged_corpora"), "[\"c0\",\"c1\",\"c2\"]");
    EXPECT_EQ(file.dataset("massive_corpus/layer").shape(), std::vector<hsize_t>{2});
    EXPECT_TRUE(file.contains("capture/summer/residual"));
  }
}

TEST_F(Merging, OfAMergedFileGoesOn) {
  const std::string a = finish("a", corpus(0, {4000}, "c0"));
  const std::string b = finish("b", corpus(4000, {4000}, "c1"));
  const std::string c = finish("c", corpus(8000, {4000}, "c2"));
  merge_files({a, b}, folder_ / "ab.h5");
  merge_files({folder_ / "ab.h5", c}, folder_ / "abc.h5");
  expect_whole(folder_ / "abc.h5", corpus(0, {12000}, ""));
  expect_error(ErrorKind::kOutput, {"b.h5", "ab.h5", "count twice"}, [&] {
    merge_files({folder_ / "ab.h5", b}, folder_ / "abb.h5");
  });
}

TEST_F(Merging, RefusesTheSameCorpusTwice) {
  expect_refused({"b.h5", "a.h5", "count twice"}, {}, "c0");
}

TEST_F(Merging, RefusesAnotherModel) {
  expect_refused({"b.h5", "a.h5", "model_fingerprint is m1, not m0"},
                 [](Assembly& assembly) { replace(assembly, "model_fingerprint", "m1"); });
}

TEST_F(Merging, RefusesAnotherJobAndNamesTheKeys) {
  expect_refused({"b.h5", "a.h5", "statistics.top_k"}, [](Assembly& assembly) {
    auto identity = identity_of(sample_job({}));
    identity["statistics.top_k"] = 4;
    replace(assembly, "identity", identity.dump());
  });
}

TEST_F(Merging, RefusesAnotherVocabulary) {
  expect_refused({"b.h5", "a.h5", "/vocabulary/bytes differs"}, [](Assembly& assembly) {
    assembly.constants["vocabulary/bytes"][0] = std::byte{'x'};
  });
}

TEST_F(Merging, MarksFilesOfDifferentDevices) {
  const std::string a = finish("a", corpus(0, {320}, "c0"));
  const std::string b = finish("b", corpus(2000, {320}, "c1"),
                               [](Assembly& assembly) { replace(assembly, "device", "gpu"); });
  merge_files({a, b}, folder_ / "merged.h5");
  EXPECT_EQ(open_sweep(folder_ / "merged.h5").read_int("mixed_devices"), 1);
}

TEST_F(Merging, RefusesWhatIsNotAFinishedSweepFile) {
  const std::string a = finish("a", corpus(0, {320}, "c0"));
  const std::string segment = find_segments(folder_ / "a-segments").front().path;
  expect_error(ErrorKind::kOutput, {"segment-000000.h5", "not a sweep file"}, [&] {
    merge_files({a, segment}, folder_ / "merged.h5");
  });
  expect_error(ErrorKind::kOutput, {"/etc/passwd"}, [&] {
    merge_files({a, "/etc/passwd"}, folder_ / "merged.h5");
  });
  expect_error(ErrorKind::kOutput, {"nowhere.h5", "No such file"}, [&] {
    merge_files({a, folder_ / "nowhere.h5"}, folder_ / "merged.h5");
  });
}

TEST_F(Merging, RefusesOneFileAndAnExistingTarget) {
  const std::string a = finish("a", corpus(0, {320}, "c0"));
  expect_error(ErrorKind::kOutput, {"two files or more"},
               [&] { merge_files({a}, folder_ / "merged.h5"); });
  expect_error(ErrorKind::kOutput, {"a.h5", "exists already"}, [&] { merge_files({a, a}, a); });
}

}  // namespace
}  // namespace actsweep
