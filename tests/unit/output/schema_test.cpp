#include "output/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sample_sweep.h"

namespace actsweep {
namespace {

TEST(Schema, HasOneLineForEveryDataset) {
  const auto datasets = declare_datasets(sample_job({}));
  const std::string text = schema_markdown(datasets);
  for (const auto& dataset : datasets) {
    const std::string name = dataset.path.substr(dataset.path.rfind('/') + 1);
    EXPECT_THAT(text, testing::HasSubstr("| `" + name + "` | ")) << dataset.path;
  }
  const auto lines = std::count(text.begin(), text.end(), '\n');
  const auto groups =
      11;  // of 5 more lines each, but for the first: blank, heading, blank, titles, rule
  EXPECT_EQ(lines, static_cast<int64_t>(datasets.size()) + 5 * groups - 1);
}

TEST(Schema, LineTellsTypeAxesUnitsMeaningAndMerge) {
  const std::string text = schema_markdown({{"tokens/sequence",
                                             ElementType::kInt64,
                                             {Axis::kLayer, Axis::kToken},
                                             "1",
                                             "of |x|",
                                             Merge::kRows,
                                             Axis::kSequence}});
  EXPECT_EQ(
      text,
      "### `/tokens`\n\n| dataset | type | axes | units | meaning | merge |\n"
      "|---|---|---|---|---|---|\n"
      "| `sequence` | int64 | layer, token | 1 | of \\|x\\|; counts along `sequence` | rows |\n");
}

TEST(Schema, RootAndScalarsHaveTheirWords) {
  const std::string text =
      schema_markdown({{"total", ElementType::kFloat64, {}, "nat", "all", Merge::kSum}});
  EXPECT_THAT(text, testing::HasSubstr("### `/`"));
  EXPECT_THAT(text, testing::HasSubstr("| `total` | float64 | (scalar) | nat | all | sum |"));
}

}  // namespace
}  // namespace actsweep
