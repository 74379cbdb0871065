#include "output/chunk_writer.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <thread>

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

/// The chunk's values, densely, where they are several runs in `gathered`.
std::span<const std::byte> gather(const Chunk& chunk, std::vector<std::byte>& gathered) {
  if (chunk.runs == 1) return chunk.first_run;
  gathered.clear();
  const auto* run = chunk.first_run.data();
  for (size_t i = 0; i < chunk.runs; ++i, run += chunk.stride) {
    gathered.insert(gathered.end(), run, run + chunk.first_run.size());
  }
  return gathered;
}

}  // namespace

std::vector<PackedChunk> pack_chunks(const PlannedDataset& planned, const Hyperslab& part,
                                     std::span<const std::byte> values, int threads) {
  const auto shape = chunk_shape(planned.dataset, planned.shape);
  const ChunkSize size = {static_cast<size_t>(byte_count(planned.dataset, shape)),
                          size_of(planned.dataset.type)};
  auto chunks = cut(part, shape, values, size.element_bytes);
  std::vector<PackedChunk> packed(chunks.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    try {
      ChunkPacker packer;
      std::vector<std::byte> gathered;
      for (size_t i = next++; i < chunks.size(); i = next++) {
        packed[i] = {std::move(chunks[i].offset), packer.pack(size, gather(chunks[i], gathered))};
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
  for (const auto& chunk : packed) {
    require(!chunk.bytes.empty(), ErrorKind::kOutput, "/{}: no memory to compress a chunk",
            planned.dataset.path);
  }
  return packed;
}

void write_chunks(const H5Dataset& target, const PlannedDataset& planned, const Hyperslab& part,
                  std::span<const std::byte> values, int threads) {
  if (chunk_shape(planned.dataset, planned.shape).empty()) {
    target.write(memory_type(planned.dataset.type), part, values.data());
    return;
  }
  for (const auto& chunk : pack_chunks(planned, part, values, threads)) {
    target.write_chunk(chunk.offset, chunk.bytes);
  }
}

}  // namespace actsweep
