#include "output/chunk_writer.h"

#include <isa-l/igzip_lib.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <limits>
#include <new>
#include <thread>

#include "base/instruction_sets.h"
#include "output/layout.h"

namespace actsweep {
namespace {

/// One chunk: where it begins along each axis, and the values that it has of its dataset, in runs
/// of equal length. A chunk at the dataset's end can have fewer than fit; they are its first ones.
struct Chunk {
  std::vector<hsize_t> offset;
  std::span<const std::byte> first_run;
  size_t runs = 1;
  size_t stride = 0;  // bytes from the beginning of a run to that of the next
};

/// The chunks of a part. They have all of the part along their axes but for the first two. Each is
/// one run of the values, or, where it cuts the second axis, one for each index along the first.
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
  const bool has_runs = first_step > 1 && second_step < second_count;
  ensure(!has_runs || second_step == 1, "a chunk's values are its first ones");
  std::vector<Chunk> chunks;
  for (hsize_t first = 0; first < part.count[0]; first += first_step) {
    for (hsize_t second = 0; second < second_count; second += second_step) {
      const hsize_t firsts = std::min(first_step, part.count[0] - first);
      const hsize_t seconds = std::min(second_step, second_count - second);
      const hsize_t runs = has_runs ? firsts : 1, items = firsts * seconds / runs;
      auto offset = part.offset;
      offset[0] += first;
      if (has_second) offset[1] += second;
      const auto begin = static_cast<size_t>(first * second_count + second) * item_bytes;
      chunks.push_back({std::move(offset),
                        values.subspan(begin, static_cast<size_t>(items) * item_bytes),
                        static_cast<size_t>(runs), static_cast<size_t>(second_count) * item_bytes});
    }
  }
  return chunks;
}

template <typename Word>
ACTSWEEP_INLINE void shuffle_words(std::span<const std::byte> values,
                                   std::span<std::byte> shuffled) {
  const auto elements = static_cast<int64_t>(shuffled.size() / sizeof(Word));
  const auto present = static_cast<int64_t>(values.size() / sizeof(Word));
  const auto* __restrict from = reinterpret_cast<const Word*>(values.data());
  auto* __restrict to = reinterpret_cast<uint8_t*>(shuffled.data());
  for (size_t byte = 0; byte < sizeof(Word); ++byte, to += elements) {
    for (int64_t i = 0; i < present; ++i) to[i] = static_cast<uint8_t>(from[i] >> (8 * byte));
  }
}

/// The first bytes of all elements, then their second bytes, and so on. What values do not reach
/// is left as it is.
ACTSWEEP_CLONES
void shuffle(std::span<const std::byte> values, int64_t element_bytes,
             std::span<std::byte> shuffled) {
  switch (element_bytes) {
    case 1:
      return shuffle_words<uint8_t>(values, shuffled);
    case 2:
      return shuffle_words<uint16_t>(values, shuffled);
    case 4:
      return shuffle_words<uint32_t>(values, shuffled);
    default:
      return shuffle_words<uint64_t>(values, shuffled);
  }
}

/// Shuffles and compresses chunks, one after the other, in buffers that it keeps.
class ChunkPacker {
 public:
  ChunkPacker(int64_t chunk_bytes, int64_t element_bytes)
      : element_bytes_(element_bytes),
        work_space_(ISAL_DEF_LVL1_DEFAULT),
        shuffled_(static_cast<size_t>(chunk_bytes)),
        // What cannot be compressed is stored, with a header for each 64 KiB.
        compressed_(shuffled_.size() + shuffled_.size() / 4096 + 64) {
    ensure(std::has_single_bit(static_cast<uint64_t>(element_bytes)) && element_bytes <= 8,
           "elements have one, two, four or eight bytes");
    ensure(compressed_.size() <= std::numeric_limits<uint32_t>::max(), "a chunk is below 4 GiB");
  }

  std::vector<std::byte> pack(const Chunk& chunk) {
    const auto values = chunk.runs == 1 ? chunk.first_run : gather(chunk);
    if (values.size() < shuffled_.size())
      std::fill(shuffled_.begin(), shuffled_.end(), std::byte{});
    shuffle(values, element_bytes_, shuffled_);
    return {compressed_.begin(), compressed_.begin() + deflate()};
  }

 private:
  std::span<const std::byte> gather(const Chunk& chunk) {
    gathered_.clear();
    const auto* run = chunk.first_run.data();
    for (size_t i = 0; i < chunk.runs; ++i, run += chunk.stride) {
      gathered_.insert(gathered_.end(), run, run + chunk.first_run.size());
    }
    return gathered_;
  }

  /// By ISA-L, in zlib's format; returns how many bytes it wrote.
  int64_t deflate() {
    isal_zstream stream;
    isal_deflate_stateless_init(&stream);
    stream.level = 1;
    stream.level_buf = work_space_.data();
    stream.level_buf_size = static_cast<uint32_t>(work_space_.size());
    stream.gzip_flag = IGZIP_ZLIB;
    stream.end_of_stream = 1;
    stream.next_in = reinterpret_cast<uint8_t*>(shuffled_.data());
    stream.avail_in = static_cast<uint32_t>(shuffled_.size());
    stream.next_out = reinterpret_cast<uint8_t*>(compressed_.data());
    stream.avail_out = static_cast<uint32_t>(compressed_.size());
    ensure(isal_deflate_stateless(&stream) == COMP_OK, "a stored chunk would fit");
    return stream.total_out;
  }

  int64_t element_bytes_;
  std::vector<uint8_t> work_space_;
  std::vector<std::byte> gathered_;
  std::vector<std::byte> shuffled_;
  std::vector<std::byte> compressed_;
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
      ChunkPacker packer(chunk_bytes, element_bytes);
      for (size_t i = next++; i < chunks.size(); i = next++) {
        compressed[i] = packer.pack(chunks[i]);
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
