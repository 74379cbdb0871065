#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "output/segment_file.h"
#include "temporary_folder.h"

namespace actsweep {
namespace {

const Dataset kRows = {"residual/token_top_value",
                       ElementType::kFloat32,
                       {Axis::kLayer, Axis::kToken, Axis::kOrder},
                       "1",
                       "",
                       Merge::kRows};
const Dataset kStored = {"store/residual",
                         ElementType::kFloat32,
                         {Axis::kStoredRow, Axis::kStoredLayer, Axis::kChannel},
                         "1",
                         "",
                         Merge::kRows};
constexpr int64_t kLayers = 3, kOrder = 2, kChannels = 300;

float value_at(int64_t layer, int64_t row, int64_t item) {
  return static_cast<float>((layer * 1'000'003 + row) * 31 + item);
}

/// A part of one or all layers: [layers, rows, items], or [rows, layers, items] of the store.
std::vector<float> values_of(const Dataset& dataset, int64_t first_layer, int64_t layers,
                             int64_t first, int64_t rows) {
  const bool is_layer_first = !is_stored(dataset);
  const int64_t items = is_layer_first ? kOrder : kChannels;
  std::vector<float> values(static_cast<size_t>(layers * rows * items));
  for (int64_t layer = 0; layer < layers; ++layer) {
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t place = is_layer_first ? layer * rows + row : row * layers + layer;
      for (int64_t item = 0; item < items; ++item) {
        values[static_cast<size_t>(place * items + item)] =
            value_at(first_layer + layer, first + row, item);
      }
    }
  }
  return values;
}

/// Cuts 0 ... rows at random places.
std::vector<int64_t> cuts_of(int64_t rows, int64_t parts, std::mt19937& random) {
  std::vector<int64_t> cuts = {0, rows};
  for (int64_t i = 1; i < parts; ++i) cuts.push_back(static_cast<int64_t>(random() % rows));
  std::sort(cuts.begin(), cuts.end());
  return cuts;
}

/// A file whose rows came in parts, those of a layer in any order.
void write_in_parts(SegmentFile& file, const Dataset& dataset, int64_t rows, int64_t parts) {
  std::mt19937 random(static_cast<unsigned>(parts));
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    const auto cuts = cuts_of(rows, parts, random);
    std::vector<size_t> order(cuts.size() - 1);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    for (const size_t i : order) {
      const int64_t first = cuts[i], count = cuts[i + 1] - cuts[i];
      const auto values = values_of(dataset, layer, 1, first, count);
      if (is_stored(dataset)) {
        file.write(dataset.path, {first, layer, 0}, {count, 1, kChannels}, values.data());
      } else {
        file.write(dataset.path, {layer, first, 0}, {1, count, kOrder}, values.data());
      }
    }
  }
}

/// What HDF5 reads behind the padding.
std::vector<float> read_rows(const std::string& path, const Dataset& dataset, int64_t rows) {
  const H5File file = H5File::open(path, ErrorKind::kOutput);
  const H5Dataset found = file.dataset(dataset.path);
  Hyperslab part{std::vector<hsize_t>(3, 0), found.shape()};
  const size_t axis = *concatenation_axis(dataset);
  part.offset[axis] = static_cast<hsize_t>(padding_of(found));
  part.count[axis] -= part.offset[axis];
  EXPECT_EQ(part.count[axis], static_cast<hsize_t>(rows));
  std::vector<float> values(static_cast<size_t>(element_count(part.count)));
  found.read(H5T_NATIVE_FLOAT, part, values.data());
  return values;
}

TEST(RowChunks, RowsComeInPartsOfAnySizeAndOrder) {
  constexpr int64_t kOwn = 50000, kBefore = 20000, kWhole = 110000;
  for (const auto& dataset : {kRows, kStored}) {
    const int64_t rows = is_stored(dataset) ? 3000 : kOwn;
    const Axis along = dataset.axes[*concatenation_axis(dataset)];
    const Extents extents = {{Axis::kLayer, kLayers}, {Axis::kStoredLayer, kLayers},
                             {Axis::kOrder, kOrder},  {Axis::kChannel, kChannels},
                             {Axis::kToken, rows},    {Axis::kStoredRow, rows}};
    for (const int64_t parts : {1, 2, 7, 40}) {
      const TemporaryFolder folder;
      RowPlace place;
      place.before.along(along) = kBefore;
      place.whole.along(along) = kWhole;
      SegmentFile file(folder.path(), {0}, {dataset}, extents, {}, place);
      write_in_parts(file, dataset, rows, parts);
      file.finish({});
      file.commit();
      EXPECT_EQ(read_rows(file.path(), dataset, rows), values_of(dataset, 0, kLayers, 0, rows))
          << dataset.path << ", " << parts;
    }
  }
}

TEST(RowChunks, FileHasTheChunksOfTheSweepWhereItHoldsOneWhole) {
  struct Case {
    int64_t rows, before, whole, padding;
    hsize_t chunk;
  };
  for (const auto& [rows, before, whole, padding, chunk] : std::vector<Case>{
           {50000, 20000, 110000, 20000, 32768},  // from 32,768 on
           {50000, 32768, 110000, 0, 32768},
           {40000, 70000, 110000, 4464, 32768},  // the last one
           {20000, 20000, 110000, 0, 20000},     // none
           {20000, 10000, 30000, 0, 20000},      // nor of a sweep of one chunk its end alone
           {30000, 0, 30000, 0, 30000}}) {
    const TemporaryFolder folder;
    RowPlace place;
    place.before.tokens = before;
    place.whole.tokens = whole;
    SegmentFile file(folder.path(), {0}, {kRows},
                     {{Axis::kLayer, kLayers}, {Axis::kOrder, kOrder}, {Axis::kToken, rows}}, {},
                     place);
    write_in_parts(file, kRows, rows, 1);
    file.finish({});
    file.commit();
    const H5File found = H5File::open(file.path(), ErrorKind::kOutput);
    EXPECT_EQ(found.dataset(kRows.path).chunk(), (std::vector<hsize_t>{1, chunk, kOrder})) << rows;
    EXPECT_EQ(padding_of(found.dataset(kRows.path)), padding) << rows;
  }
}

}  // namespace
}  // namespace actsweep
