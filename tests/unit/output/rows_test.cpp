#include "output/rows.h"

#include <gtest/gtest.h>

#include <map>

namespace actsweep {
namespace {

constexpr int64_t kMostBytes = 32 * 1024 * 1024;

struct Whole {
  int64_t layers;
  int64_t rows;
  int64_t row_bytes;
  int ranks;
};

const std::vector<Whole> kWholes = {
    {1, 1, 4, 1},          {31, 1000, 12, 4},   {31, 100000, 12, 3},
    {81, 1 << 20, 12, 64}, {1, 10000000, 8, 2}, {81, 32768, 4096, 7},
    {4, 32769, 12, 5},     {2, 5, 4, 100},      {1, 1 << 20, 2048, 1},
};

TEST(Tiles, CoverEveryChunkExactlyOnce) {
  for (const auto& whole : kWholes) {
    std::map<std::pair<int64_t, int64_t>, int> times;  // layer, first row of the chunk
    for (const auto& tile : cut_tiles(whole.layers, whole.rows, whole.row_bytes, whole.ranks)) {
      EXPECT_EQ(tile.first_row % kChunkRows, 0);
      EXPECT_TRUE(tile.rows % kChunkRows == 0 || tile.first_row + tile.rows == whole.rows);
      for (int64_t layer = tile.first_layer; layer < tile.first_layer + tile.layers; ++layer) {
        for (int64_t row = 0; row < tile.rows; row += kChunkRows) {
          ++times[{layer, tile.first_row + row}];
        }
      }
    }
    const int64_t columns = (whole.rows + kChunkRows - 1) / kChunkRows;
    EXPECT_EQ(static_cast<int64_t>(times.size()), whole.layers * columns);
    for (const auto& [chunk, count] : times) EXPECT_EQ(count, 1);
  }
}

TEST(Tiles, StayWithinTheirBytesUnlessOneChunkIsLarger) {
  for (const auto& whole : kWholes) {
    for (const auto& tile : cut_tiles(whole.layers, whole.rows, whole.row_bytes, whole.ranks)) {
      const bool is_one_chunk = tile.layers == 1 && tile.rows <= kChunkRows;
      EXPECT_TRUE(is_one_chunk || tile.layers * tile.rows * whole.row_bytes <= kMostBytes);
    }
  }
}

TEST(Tiles, OfTheStoreAreWholeChunksOfAllLayers) {
  constexpr int64_t kRows = 5000, kRowBytes = 31 * 576 * 4, kRowsOfChunk = 455;
  int64_t next = 0;
  for (const auto& tile : cut_tiles(1, kRows, kRowBytes, 2, kRowsOfChunk)) {
    EXPECT_EQ(tile.first_row, next);
    EXPECT_TRUE(tile.rows % kRowsOfChunk == 0 || tile.first_row + tile.rows == kRows);
    EXPECT_LE(tile.rows * kRowBytes, kMostBytes);
    next += tile.rows;
  }
  EXPECT_EQ(next, kRows);
}

TEST(Tiles, GiveEveryRankWorkWhereThereIsEnough) {
  EXPECT_GE(cut_tiles(31, 1000, 12, 4).size(), 4u);
  EXPECT_GE(cut_tiles(1, 10 * kChunkRows, 8, 5).size(), 5u);
}

TEST(Tiles, AreNoneWithoutValues) {
  EXPECT_TRUE(cut_tiles(31, 0, 12, 4).empty());
  EXPECT_TRUE(cut_tiles(0, 10, 12, 4).empty());
}

}  // namespace
}  // namespace actsweep
