#include "output/chunk_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "output/layout.h"
#include "temporary_folder.h"

namespace actsweep {
namespace {

using Shape = std::vector<hsize_t>;

/// Values that compress a little, and not into the same chunk twice.
std::vector<float> numbers(const Shape& shape) {
  std::vector<float> values(static_cast<size_t>(element_count(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i)) * 100;
  return values;
}

/// Writes the parts of `values` by chunks and reads the whole as HDF5 does, filters and all.
std::vector<float> write_and_read(const PlannedDataset& planned, const std::vector<float>& values,
                                  const std::vector<Hyperslab>& parts, int threads) {
  const TemporaryFolder folder;
  const std::string path = folder / "chunks.h5";
  H5File made = H5File::create(path, ErrorKind::kOutput);
  create_outline(made, {planned}, {});
  size_t first = 0;
  for (const auto& part : parts) {
    const auto count = static_cast<size_t>(element_count(part.count));
    write_chunks(made.dataset(planned.dataset.path), planned, part,
                 std::as_bytes(std::span(values).subspan(first, count)), threads);
    first += count;
  }
  made.close();
  const H5File file = H5File::open(path, ErrorKind::kOutput);
  std::vector<float> found(values.size());
  file.dataset(planned.dataset.path).read_all(H5T_NATIVE_FLOAT, found.data());
  return found;
}

TEST(ChunkWriter, RowsOfLayersAreReadAsTheyWereWritten) {
  const Dataset dataset{"residual/token_top_value",
                        ElementType::kFloat32,
                        {Axis::kLayer, Axis::kToken, Axis::kOrder},
                        "1",
                        "",
                        Merge::kRows};
  const Shape shape = {3, 70000, 2};  // three chunks a layer, the last one not full
  const auto values = numbers(shape);
  const std::vector<Hyperslab> parts = {
      {{0, 0, 0}, {2, 70000, 2}}, {{2, 0, 0}, {1, 65536, 2}}, {{2, 65536, 0}, {1, 4464, 2}}};
  for (const int threads : {1, 2, 7}) {
    EXPECT_EQ(write_and_read({dataset, shape}, values, parts, threads), values) << threads;
  }
}

TEST(ChunkWriter, ChunksOfOneLayerAreGatheredFromRowsOfAllLayers) {
  const Dataset dataset{"store/residual",
                        ElementType::kFloat32,
                        {Axis::kStoredRow, Axis::kStoredLayer, Axis::kChannel},
                        "1",
                        "",
                        Merge::kRows};
  const Shape shape = {700, 3, 600};
  ASSERT_EQ(chunk_shape(dataset, shape), (Shape{436, 1, 600}));
  const auto values = numbers(shape);
  const std::vector<Hyperslab> parts = {{{0, 0, 0}, {436, 3, 600}}, {{436, 0, 0}, {264, 3, 600}}};
  for (const int threads : {1, 3}) {
    EXPECT_EQ(write_and_read({dataset, shape}, values, parts, threads), values) << threads;
  }
}

TEST(ChunkWriter, FieldsAndRowsWithoutLayersAreToo) {
  const Dataset field{"residual/class_sum",
                      ElementType::kFloat32,
                      {Axis::kLayer, Axis::kClass, Axis::kChannel},
                      "1",
                      "",
                      Merge::kSum};
  const Shape of_field = {5, 4, 3000};
  EXPECT_EQ(write_and_read({field, of_field}, numbers(of_field), {{{0, 0, 0}, of_field}}, 2),
            numbers(of_field));
  const Dataset rows{"loss/token_nll", ElementType::kFloat32, {Axis::kToken}, "nats", "",
                     Merge::kRows};
  const Shape of_rows = {100000};
  EXPECT_EQ(write_and_read({rows, of_rows}, numbers(of_rows), {{{0}, of_rows}}, 2),
            numbers(of_rows));
}

TEST(ChunkWriter, WhatCannotBeCompressedIsStored) {
  const Dataset dataset{
      "residual/channel_sum", ElementType::kFloat32, {Axis::kChannel}, "1", "", Merge::kSum};
  for (const hsize_t count : {20000, 1000000}) {
    std::vector<uint32_t> bits(count);
    std::mt19937 random(7);
    for (auto& word : bits) word = random();
    std::vector<float> values(count);
    std::memcpy(values.data(), bits.data(), count * sizeof(float));  // NaN among them
    const auto found = write_and_read({dataset, {count}}, values, {{{0}, {count}}}, 1);
    EXPECT_EQ(std::memcmp(found.data(), bits.data(), count * sizeof(float)), 0) << count;
  }
}

TEST(ChunkWriter, FewValuesHaveNoChunks) {
  const Dataset dataset{"residual/count", ElementType::kFloat32, {Axis::kLayer}, "1", "",
                        Merge::kSum};
  EXPECT_EQ(write_and_read({dataset, {31}}, numbers({31}), {{{0}, {31}}}, 2), numbers({31}));
}

}  // namespace
}  // namespace actsweep
