#include "output/chunk_writer.h"

#include <isa-l/igzip_lib.h>

#include <algorithm>
#include <atomic>
#include <limits>
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

/// The compiler makes vector loops of a constant stride alone.
template <int64_t kElementBytes>
void shuffle_elements(std::span<const std::byte> values, std::span<std::byte> shuffled) {
  const auto elements = static_cast<int64_t>(shuffled.size()) / kElementBytes;
  const auto present = static_cast<int64_t>(values.size()) / kElementBytes;
  for (int64_t byte = 0; byte < kElementBytes; ++byte) {
    std::byte* __restrict to = shuffled.data() + byte * elements;
    const std::byte* __restrict from = values.data() + byte;
    for (int64_t i = 0; i < present; ++i) to[i] = from[i * kElementBytes];
  }
}

/// The first bytes of all elements, then their second bytes, and so on; zeros where values end.
std::vector<std::byte> shuffle(std::span<const std::byte> values, int64_t chunk_bytes,
                               int64_t element_bytes) {
  std::vector<std::byte> shuffled(static_cast<size_t>(chunk_bytes));
  switch (element_bytes) {
    case 1:
      shuffle_elements<1>(values, shuffled);
      break;
    case 4:
      shuffle_elements<4>(values, shuffled);
      break;
    default:
      ensure(element_bytes == 8, "elements have one, four or eight bytes");
      shuffle_elements<8>(values, shuffled);
  }
  return shuffled;
}

/// Compresses with ISA-L, in zlib's format.
class Deflater {
 public:
  Deflater() : work_space_(ISAL_DEF_LVL1_DEFAULT) {}

  std::vector<std::byte> deflate(const std::vector<std::byte>& values) {
    // What cannot be compressed is stored, with a header for each 64 KiB.
    std::vector<std::byte> compressed(values.size() + values.size() / 4096 + 64);
    ensure(compressed.size() <= std::numeric_limits<uint32_t>::max(), "a chunk is below 4 GiB");
    isal_zstream stream;
    isal_deflate_stateless_init(&stream);
    stream.level = 1;
    stream.level_buf = work_space_.data();
    stream.level_buf_size = static_cast<uint32_t>(work_space_.size());
    stream.gzip_flag = IGZIP_ZLIB;
    stream.end_of_stream = 1;
    stream.next_in = reinterpret_cast<uint8_t*>(const_cast<std::byte*>(values.data()));
    stream.avail_in = static_cast<uint32_t>(values.size());
    stream.next_out = reinterpret_cast<uint8_t*>(compressed.data());
    stream.avail_out = static_cast<uint32_t>(compressed.size());
    ensure(isal_deflate_stateless(&stream) == COMP_OK, "a stored chunk would fit");
    compressed.resize(stream.total_out);
    return compressed;
  }

 private:
  std::vector<uint8_t> work_space_;
};

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
    try {
      Deflater deflater;
      for (size_t i = next++; i < chunks.size(); i = next++) {
        compressed[i] = deflater.deflate(shuffle(chunks[i].values, chunk_bytes, element_bytes));
      }
    } catch (const std::bad_alloc&) {  // which a thread must not let go; seen below
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
