#include "output/show.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "expect_error.h"
#include "sample_sweep.h"
#include "temporary_folder.h"

namespace actsweep {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

class Shown : public testing::Test {
 protected:
  std::string show(SampleSweep sweep) {
    sweep.folder = folder_ / "segments";
    target_ = folder_ / "sample.h5";
    assemble(sample_assembly(sweep, write_sample_segments(sweep), target_), MPI_COMM_SELF);
    return show_file(target_, 2);
  }

  TemporaryFolder folder_;
  std::string target_;
};

SampleSweep small() {
  SampleSweep sweep;
  sweep.segment_tokens = {320, 160};
  return sweep;
}

TEST_F(Shown, HeaderNamesModelCorpusAndTypes) {
  const std::string text = show(small());
  EXPECT_THAT(text, HasSubstr("sample (llama), 3 layers, 5 channels"));
  EXPECT_THAT(text, HasSubstr("480 tokens in 30 sequences"));
  EXPECT_THAT(text, HasSubstr("float32"));
  EXPECT_THAT(text, ContainsRegex("perplexity +[0-9.]+ over tokens, [0-9.]+ as the mean"));
  EXPECT_THAT(text, HasSubstr("(|x| > 100 and ≥ 1,000 × a median)"));
}

TEST_F(Shown, LayersListEventsChannelsPositionsAndTokens) {
  const std::string text = show(small());
  EXPECT_THAT(text, ContainsRegex("\n +1 +30 +20,0[0-9]+ +2 +10,0[0-9]+  3 \\(30\\) +0 \\(30\\) "));
  EXPECT_THAT(text, ContainsRegex("\n +2 +30 +20,0[0-9]+ +2 +10,0[0-9]+  3 \\(30\\) +0 \\(30\\) "));
  EXPECT_THAT(text,
              ContainsRegex("\" w[0-9]+\" \\([0-9]+\\), \" w[0-9]+\" \\([0-9]+\\), [0-9]+ more"));
}

TEST_F(Shown, ChannelsListLayerRangeShareAndConstancy) {
  // Class sums of the sample: mean 20048, variance 784.
  EXPECT_THAT(show(small()),
              ContainsRegex("\n +3 +1–2 +60 +100.0 % +20,0[0-9]+ +[12] +20,048 ± 28\n"));
}

TEST_F(Shown, FileWithoutEventsSaysSo) {
  SampleSweep sweep = small();
  sweep.has_events = false;
  const std::string text = show(sweep);
  EXPECT_THAT(text, HasSubstr("No massive activations"));
  EXPECT_THAT(text, Not(HasSubstr("NON-FINITE")));
}

TEST_F(Shown, NonFiniteValuesComeFirst) {
  show(small());
  {
    H5File file = H5File::open_for_writing(target_, ErrorKind::kOutput);
    const std::vector<int64_t> left_out = {0, 0, 1234, 0};
    file.dataset("residual/nonfinite_tokens").write_all(H5T_NATIVE_INT64, left_out.data());
    file.close();
  }
  const std::string text = show_file(target_, 2);
  EXPECT_THAT(text, ContainsRegex("NON-FINITE VALUES[^\n]*\n[^\n]*\n +2 +1,234\n"));
  EXPECT_LT(text.find("NON-FINITE"), text.find("Massive activations"));
}

TEST_F(Shown, RefusesASegment) {
  show(small());
  expect_error(ErrorKind::kOutput, {"segment-000000.h5", "not a sweep file"},
               [&] { show_file(folder_ / "segments/segment-000000.h5", 2); });
}

}  // namespace
}  // namespace actsweep
