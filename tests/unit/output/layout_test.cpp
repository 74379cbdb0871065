#include "output/layout.h"

#include <gtest/gtest.h>

#include "sample_sweep.h"

namespace actsweep {
namespace {

const Dataset kRowsOfTopValues{"residual/token_top_value",
                               ElementType::kFloat32,
                               {Axis::kLayer, Axis::kToken, Axis::kOrder},
                               "1",
                               "",
                               Merge::kRows};

TEST(Layout, ChunksAreOneLayerTimes32KiRows) {
  EXPECT_EQ(chunk_shape(kRowsOfTopValues, {31, 1000000, 3}), (std::vector<hsize_t>{1, 32768, 3}));
}

TEST(Layout, ChunksAreClampedToTheShape) {
  EXPECT_EQ(chunk_shape(kRowsOfTopValues, {31, 1000, 3}), (std::vector<hsize_t>{1, 1000, 3}));
}

TEST(Layout, FewOrNoValuesAreContiguous) {
  EXPECT_TRUE(chunk_shape(kRowsOfTopValues, {31, 0, 3}).empty());
  EXPECT_TRUE(chunk_shape(kRowsOfTopValues, {3, 100, 3}).empty());
}

const Dataset kStored{"store/residual",
                      ElementType::kFloat32,
                      {Axis::kStoredRow, Axis::kStoredLayer, Axis::kChannel},
                      "1",
                      "",
                      Merge::kRows};

TEST(Layout, ChunksOfTheStoreAreRowsOfOneLayer) {
  // 455 rows of 2,304 bytes are the most in 1 MiB.
  EXPECT_EQ(chunk_shape(kStored, {100000, 31, 576}), (std::vector<hsize_t>{455, 1, 576}));
  EXPECT_EQ(chunk_shape(kStored, {100, 31, 576}), (std::vector<hsize_t>{100, 1, 576}));
}

TEST(Layout, ARowOfChunksOfTheStoreFitsATile) {
  const std::vector<hsize_t> shape = {100000, 127, 16384};
  const auto chunk = chunk_shape(kStored, shape);
  EXPECT_EQ(chunk, (std::vector<hsize_t>{4, 1, 16384}));
  EXPECT_LE(byte_count(kStored, {chunk[0], shape[1], shape[2]}), kTileBytes);
  EXPECT_EQ(chunk_shape(kStored, {9, 1000, 1000000}), (std::vector<hsize_t>{1, 1, 1000000}));
}

TEST(Layout, TheStoreHasScalesOfItsOwn) {
  EXPECT_EQ(scale_path(kStored, Axis::kStoredRow), "store/row");
  EXPECT_EQ(scale_path(kStored, Axis::kStoredLayer), "store/stored_layer");
  EXPECT_EQ(scale_path(kStored, Axis::kChannel), "channel");
}

TEST(Layout, NoChunkIsEmptyOrLargerThanItsDataset) {
  SampleSweep sweep;
  for (const int64_t tokens : {0, 16, 40000, 1 << 20}) {
    Extents extents = sample_extents(sweep, tokens);
    for (const Axis other :
         {Axis::kVocabularyOffset, Axis::kVocabularyByte, Axis::kPromptToken, Axis::kFinding}) {
      extents[other] = tokens;
    }
    for (const auto& dataset : declare_datasets(sample_job(sweep))) {
      const auto shape = shape_of(dataset, extents);
      const auto chunk = chunk_shape(dataset, shape);
      ASSERT_TRUE(chunk.empty() || chunk.size() == shape.size()) << dataset.path;
      for (size_t i = 0; i < chunk.size(); ++i) {
        EXPECT_GE(chunk[i], 1u) << dataset.path;
        EXPECT_LE(chunk[i], shape[i]) << dataset.path;
      }
    }
  }
}

TEST(Layout, EveryDatasetIsOfASegmentOrConstantOrDerived) {
  const auto all = declare_datasets(sample_job({}));
  size_t others = 0;
  for (const auto& dataset : all) {
    others += dataset.merge == Merge::kConstant || dataset.merge == Merge::kDerived ? 1 : 0;
  }
  EXPECT_EQ(segment_datasets(all).size() + others, all.size());
  EXPECT_EQ(capture_datasets(all, "summer").size(), 2u);
}

TEST(Layout, PromptTokensHaveAScaleInTheirOwnGroup) {
  const Dataset capture{"capture/summer/id", ElementType::kUInt32, {Axis::kPromptToken}, "1", "",
                        Merge::kConstant};
  EXPECT_EQ(scale_path(capture, Axis::kPromptToken), "capture/summer/token");
  EXPECT_EQ(scale_path(kRowsOfTopValues, Axis::kToken), "token");
}

TEST(Layout, AxisWithoutALengthIsAMistake) {
  EXPECT_THROW(shape_of(kRowsOfTopValues, {{Axis::kLayer, 3}}), std::logic_error);
}

}  // namespace
}  // namespace actsweep
