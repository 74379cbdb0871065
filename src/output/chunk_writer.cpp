#include "output/chunk_writer.h"

#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

namespace actsweep {
namespace {

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

/// Empty where zlib fails, which it does for want of memory alone.
std::vector<std::byte> deflate(const std::vector<std::byte>& values) {
  uLongf bytes = compressBound(values.size());
  std::vector<std::byte> compressed(bytes);
  const int status = compress2(reinterpret_cast<Bytef*>(compressed.data()), &bytes,
                               reinterpret_cast<const Bytef*>(values.data()), values.size(),
                               static_cast<int>(kDeflateLevel));
  compressed.resize(status == Z_OK ? bytes : 0);
  return compressed;
}

}  // namespace

void write_chunks(const H5Dataset& target, const std::vector<Chunk>& chunks, int64_t chunk_bytes,
                  int64_t element_bytes, int threads) {
  std::vector<std::vector<std::byte>> compressed(chunks.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < chunks.size(); i = next++) {
      compressed[i] = deflate(shuffle(chunks[i].values, chunk_bytes, element_bytes));
    }
  };
  {
    std::vector<std::jthread> helpers;
    const auto count = std::min(static_cast<size_t>(threads), chunks.size());
    for (size_t i = 1; i < count; ++i) helpers.emplace_back(work);
    work();
  }
  for (size_t i = 0; i < chunks.size(); ++i) {
    require(!compressed[i].empty(), target.kind(), "{}: /{}: zlib cannot compress a chunk",
            target.file(), target.path());
    target.write_chunk(chunks[i].offset, compressed[i]);
  }
}

}  // namespace actsweep
