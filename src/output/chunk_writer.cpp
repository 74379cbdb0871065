#include "output/chunk_writer.h"

#include <libdeflate.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <new>
#include <thread>

#include "output/layout.h"

namespace actsweep {
namespace {

/// One chunk: where it begins along each axis, and the values that it has of its dataset. A chunk
/// at the dataset's end can have fewer than fit; they are its first ones.
struct Chunk {
  std::vector<hsize_t> offset;
  std::span<const std::byte> values;
};

/// The chunks of a part. They have all of the part along their axes but for the first two, and one
/// index or all of it along the first where they cut the second: each is one run of the values.
std::vector<Chunk> cut(const Hyperslab& part, const std::vector<hsize_t>& shape,
                       std::span<const std::byte> values, int64_t element_bytes) {
  const bool has_second = shape.size() > 1;
  const hsize_t first_step = shape[0], second_step = has_second ? shape[1] : 1;
  const hsize_t second_count = has_second ? part.count[1] : 1;
  size_t item_bytes = static_cast<size_t>(element_bytes);  // of one index along both
  for (size_t i = 2; i < shape.size(); ++i) {
    ensure(shape[i] == part.count[i], "chunks are cut along their first two axes");
    item_bytes *= static_cast<size_t>(shape[i]);
  }
  ensure(first_step == 1 || second_step >= second_count, "a chunk is one run of values");
  std::vector<Chunk> chunks;
  for (hsize_t first = 0; first < part.count[0]; first += first_step) {
    for (hsize_t second = 0; second < second_count; second += second_step) {
      const hsize_t items = std::min(first_step, part.count[0] - first) *
                            std::min(second_step, second_count - second);
      auto offset = part.offset;
      offset[0] += first;
      if (has_second) offset[1] += second;
      const auto begin = static_cast<size_t>(first * second_count + second) * item_bytes;
      chunks.push_back(
          {std::move(offset), values.subspan(begin, static_cast<size_t>(items) * item_bytes)});
    }
  }
  return chunks;
}

/// The first bytes of all elements, then their second bytes, and so on; zeros where values end.
std::vector<std::byte> shuffle(std::span<const std::byte> values, int64_t chunk_bytes,
                               int64_t element_bytes) {
  std::vector<std::byte> shuffled(static_cast<size_t>(chunk_bytes));
  const int64_t elements = chunk_bytes / element_bytes;
  const int64_t present = static_cast<int64_t>(values.size()) / element_bytes;
  for (int64_t byte = 0; byte < element_bytes; ++byte) {
    std::byte* to = shuffled.data() + byte * elements;
    const std::byte* from = values.data() + byte;
    for (int64_t i = 0; i < present; ++i) to[i] = from[i * element_bytes];
  }
  return shuffled;
}

/// In zlib's format. Empty where there is no memory for it.
std::vector<std::byte> deflate(const std::vector<std::byte>& values) {
  const std::unique_ptr<libdeflate_compressor, decltype(&libdeflate_free_compressor)> compressor(
      libdeflate_alloc_compressor(static_cast<int>(kDeflateLevel)), libdeflate_free_compressor);
  if (compressor == nullptr) return {};
  std::vector<std::byte> compressed(
      libdeflate_zlib_compress_bound(compressor.get(), values.size()));
  compressed.resize(libdeflate_zlib_compress(compressor.get(), values.data(), values.size(),
                                             compressed.data(), compressed.size()));
  return compressed;
}

}  // namespace

void write_chunks(const H5Dataset& target, const PlannedDataset& planned, const Hyperslab& part,
                  std::span<const std::byte> values, int threads) {
  const auto shape = chunk_shape(planned.dataset, planned.shape);
  if (shape.empty()) {
    target.write(memory_type(planned.dataset.type), part, values.data());
    return;
  }
  const auto chunks = cut(part, shape, values, size_of(planned.dataset.type));
  const int64_t chunk_bytes = byte_count(planned.dataset, shape);
  const int64_t element_bytes = size_of(planned.dataset.type);
  std::vector<std::vector<std::byte>> compressed(chunks.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < chunks.size(); i = next++) {
      try {
        compressed[i] = deflate(shuffle(chunks[i].values, chunk_bytes, element_bytes));
      } catch (const std::bad_alloc&) {  // which a thread must not let go; seen below
      }
    }
  };
  {
    std::vector<std::jthread> helpers;
    const auto count = std::min(static_cast<size_t>(threads), chunks.size());
    for (size_t i = 1; i < count; ++i) helpers.emplace_back(work);
    work();
  }
  for (size_t i = 0; i < chunks.size(); ++i) {
    require(!compressed[i].empty(), target.kind(), "{}: /{}: no memory to compress a chunk",
            target.file(), target.path());
    target.write_chunk(chunks[i].offset, compressed[i]);
  }
}

}  // namespace actsweep
